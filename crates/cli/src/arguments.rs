//! The command line: from arguments to a command, from its outcome to an exit status.

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::client::{self, Client, Gateway};
use crate::error::{FAILED, NOT_RUN};
use crate::output::{Format, Output};
use crate::{Error, bench, demo, host};

/// A self-healing workflow engine.
#[derive(Debug, Parser)]
#[command(name = "planaria", version, propagate_version = true, subcommand_required = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Where the mesh answers; without it, http://127.0.0.1:8080
    #[arg(long, global = true, env = "PLANARIA_ADDR", value_name = "URL")]
    #[arg(help_heading = "Everywhere")]
    addr: Option<String>,
    /// The API key that is shown there; better in the variable, where no list of processes has it
    #[arg(long, global = true, env = client::API_KEY, hide_env_values = true)]
    #[arg(value_name = "KEY", help_heading = "Everywhere")]
    api_key: Option<String>,
    /// Tables for people or JSON for programs
    #[arg(long, short, global = true, value_enum, default_value_t = Format::Table)]
    #[arg(value_name = "FORMAT", help_heading = "Everywhere")]
    output: Format,
    /// Any value: no colours
    #[arg(long, global = true, env = "NO_COLOR", hide = true)]
    no_color: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole mesh: six services in this process, the workers as its children
    Up(host::up::Arguments),
    /// Watch a worker being killed and the mesh healing
    Demo(demo::Arguments),
    /// Run one service
    Serve(host::serve::Arguments),
    /// Bring the services' schemas in the database up to date
    Migrate(host::migrate::Arguments),
    /// Publish a workflow file, start it, follow it to its end and print its result
    Run(client::run::Arguments),
    /// Publish a workflow file
    Apply(client::definition::FileArguments),
    /// Check a workflow file and publish nothing
    Validate(client::definition::FileArguments),
    /// Show published definitions
    #[command(subcommand)]
    Definition(client::definition::Command),
    /// Start, show and steer workflows
    #[command(subcommand)]
    Workflow(client::workflow::Command),
    /// Show and drain workers
    #[command(subcommand)]
    Worker(client::worker::Command),
    /// Show and hasten retries
    #[command(subcommand)]
    Retry(client::retry::Command),
    /// Show and close circuit breakers
    #[command(subcommand)]
    Breaker(client::breaker::Command),
    /// Set, show and remove limits on functions
    #[command(subcommand)]
    Limit(client::limit::Command),
    /// Show and redrive what was given up
    #[command(subcommand)]
    DeadLetter(client::dead_letter::Command),
    /// Show what the mesh repaired
    #[command(subcommand)]
    Healing(client::healing::Command),
    /// Follow and publish events
    #[command(subcommand)]
    Event(client::event::Command),
    /// Post events to URLs, and see what became of each
    #[command(subcommand)]
    Webhook(client::webhook::Command),
    /// Make, show and revoke API keys
    #[command(subcommand)]
    ApiKey(client::api_key::Command),
    /// How the mesh is
    Status,
    /// What was counted over time
    Series(client::series::Arguments),
    /// Whether the service at the address serves; the exit status tells
    Health,
    /// Measure how fast a mesh is
    #[command(subcommand)]
    Bench(bench::Command),
    /// Print a completion script for a shell
    Completions {
        /// The shell that is to complete
        shell: clap_complete::Shell,
    },
}

/// The process: parse, execute, say what went wrong.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let plain = arguments.global.no_color.is_some_and(|value| !value.is_empty());
    let output = Output::new(arguments.global.output, plain);
    let Global { addr, api_key, .. } = arguments.global;
    let gateway = Gateway { address: addr, api_key };
    let Err(error) = dispatch(arguments.command, gateway, output) else {
        return ExitCode::SUCCESS;
    };
    if error.is_closed_pipe() {
        return ExitCode::SUCCESS;
    }
    if !matches!(error, Error::Ended(_)) {
        output.error(&error);
    }
    ExitCode::from(error.exit_status())
}

/// Help and version are no errors; bad usage of `run` is a workflow that could not be run.
fn refuse(error: &clap::Error) -> ExitCode {
    // A closed standard error leaves nobody to tell.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let is_run = std::env::args().skip(1).any(|argument| argument == "run");
    ExitCode::from(if is_run { NOT_RUN } else { FAILED })
}

fn dispatch(command: Command, gateway: Gateway, output: Output) -> Result<(), Error> {
    let command = match command {
        Command::Up(arguments) => return host::up::execute(arguments, output),
        Command::Serve(arguments) => return host::serve::execute(arguments, output),
        Command::Migrate(arguments) => return host::migrate::execute(&arguments, output),
        Command::Demo(arguments) => return demo::execute(arguments, &gateway, output),
        Command::Bench(command) => return bench::execute(command, gateway, output),
        Command::Completions { shell } => return completions(shell, output),
        command => command,
    };
    // The commands of a client wait for one answer at a time: one thread is enough.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::open(&gateway, output)?;
        match command {
            Command::Run(arguments) => client::run::execute(&client, arguments).await,
            Command::Apply(arguments) => client::definition::apply(&client, &arguments).await,
            Command::Validate(arguments) => client::definition::validate(&client, &arguments).await,
            Command::Definition(command) => client::definition::execute(&client, command).await,
            Command::Workflow(command) => client::workflow::execute(&client, command).await,
            Command::Worker(command) => client::worker::execute(&client, command).await,
            Command::Retry(command) => client::retry::execute(&client, command).await,
            Command::Breaker(command) => client::breaker::execute(&client, command).await,
            Command::Limit(command) => client::limit::execute(&client, command).await,
            Command::DeadLetter(command) => client::dead_letter::execute(&client, command).await,
            Command::Healing(command) => client::healing::execute(&client, command).await,
            Command::Event(command) => client::event::execute(&client, command).await,
            Command::Webhook(command) => client::webhook::execute(&client, command).await,
            Command::ApiKey(command) => client::api_key::execute(&client, command).await,
            Command::Status => client::status::execute(&client).await,
            Command::Series(arguments) => client::series::execute(&client, arguments).await,
            Command::Health => client::health::execute(&client).await,
            Command::Up(_)
            | Command::Serve(_)
            | Command::Migrate(_)
            | Command::Demo(_)
            | Command::Bench(_)
            | Command::Completions { .. } => Ok(()),
        }
    })
}

fn completions(shell: clap_complete::Shell, output: Output) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "planaria", &mut script);
    output.bytes(&script)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        let mut command = Arguments::command();
        command.clone().debug_assert();
        command.build();
        assert_distinct(&command);
    }

    /// What `debug_assert` leaves out where there are no debug assertions.
    fn assert_distinct(command: &clap::Command) {
        let mut known = std::collections::HashSet::new();
        for argument in command.get_arguments() {
            let id = Some(format!("id {}", argument.get_id()));
            let long = argument.get_long().map(|long| format!("--{long}"));
            let short = argument.get_short().map(|short| format!("-{short}"));
            for name in [id, long, short].into_iter().flatten() {
                let twice = format!("{} has {name} twice", command.get_name());
                assert!(known.insert(name), "{twice}");
            }
        }
        command.get_subcommands().for_each(assert_distinct);
    }

    #[test]
    fn a_signal_may_have_an_id_of_its_own() {
        let words = ["planaria", "workflow", "signal", "w", "--type", "t", "--id", "e"];
        Arguments::try_parse_from(words).unwrap();
    }

    /// Every command with its arguments: a change here is a change for everybody's scripts.
    #[test]
    fn every_command_explains_itself() {
        let mut text = String::new();
        explain(&mut Arguments::command().term_width(100), &mut text);
        expect_file!["../tests/help.txt"].assert_eq(&text);
    }

    fn explain(command: &mut clap::Command, text: &mut String) {
        command.build();
        // The version moves with every release and says nothing about arguments.
        let help = command.render_help().to_string();
        text.push_str(&format!("{}\n\n", help.trim_end()));
        for inner in command.get_subcommands_mut() {
            if inner.get_name() != "help" && !inner.is_hide_set() {
                text.push_str("--------\n");
                explain(inner, text);
            }
        }
    }

    #[test]
    fn options_of_everywhere_may_stand_anywhere() {
        let words = ["planaria", "workflow", "list", "-o", "json", "--addr", "http://h:1"];
        let arguments = Arguments::try_parse_from(words).unwrap();
        assert_eq!(arguments.global.output, Format::Json);
        assert_eq!(arguments.global.addr.as_deref(), Some("http://h:1"));
        assert!(matches!(arguments.command, Command::Workflow(_)));
    }
}
