//! `compose-local`: starts what `docker-compose.yml` says as local processes and shows it healing.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to its terminal")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use planaria_rig::Error;
use planaria_rig::compose::{File, Ground, Plan, Program, Scale, Stage, boards};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "compose-local --planaria FILE [--file docker-compose.yml] [--exit] [--check]
              [--scale SERVICE=N]...

  --exit   end everything after the demo
  --check  start nothing: only say whether the file is understood";

const GATEWAY: &str = "gateway";
const GATEWAY_PORT: u16 = 8080;
/// Where the file sets the key of the first administrator.
const KEY: &str = "PLANARIA__GATEWAY__ADMIN_KEY";

struct Arguments {
    planaria: PathBuf,
    file: PathBuf,
    scale: Scale,
    exit: bool,
    check: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    // One thread, this one: what it starts ends with it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(|error| Error::Failed(error.to_string()))
        .and_then(|runtime| runtime.block_on(run(&arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        planaria: PathBuf::new(),
        file: "docker-compose.yml".into(),
        scale: Scale::new(),
        exit: false,
        check: false,
    };
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--exit" => arguments.exit = true,
            "--check" => arguments.check = true,
            "--planaria" => arguments.planaria = value()?.into(),
            "--file" => arguments.file = value()?.into(),
            "--scale" => {
                let text = value()?;
                let (name, count) = text.split_once('=').ok_or("--scale SERVICE=N")?;
                let count = count.parse().map_err(|_| format!("--scale {text}: 0 to 255"))?;
                arguments.scale.insert(name.to_owned(), count);
            }
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    if arguments.planaria.as_os_str().is_empty() {
        return Err("--planaria is missing".into());
    }
    Ok(arguments)
}

async fn run(arguments: &Arguments) -> Result<(), Error> {
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("planaria-compose-").tempdir();
    let folder = folder.map_err(Error::file(std::env::temp_dir()))?;
    let root = arguments.file.parent().filter(|path| !path.as_os_str().is_empty());
    let ground = Ground {
        root: root.unwrap_or(Path::new(".")),
        planaria: &arguments.planaria,
        folder: folder.path(),
        // Addresses of other meshes on this machine have another number, most likely.
        network: u8::try_from(std::process::id() % 200).unwrap_or(0) + 16,
    };
    let plan = Plan::new(&File::read(&arguments.file)?, &arguments.scale, &ground)?;
    if arguments.check {
        println!("{} processes: {}", plan.replicas.len(), names(&plan));
        return Ok(());
    }
    let mut interrupt = stop_signal(SignalKind::interrupt())?;
    let mut terminate = stop_signal(SignalKind::terminate())?;
    let stage = tokio::select! {
        stage = Stage::start(plan) => stage?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    println!("{:5.1} s  all healthy: {}", began.elapsed().as_secs_f64(), names(stage.plan()));
    let shown = tokio::select! {
        shown = show(&stage, &ground) => shown,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    if let Err(error) = &shown {
        println!("{error}\n{}", stage.last_words());
    } else if !arguments.exit {
        println!("It stays up until Ctrl-C: planaria status --addr {}", gateway(&stage)?);
        tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
    }
    let ended = stage.end().await;
    println!("{:5.1} s  all ended", began.elapsed().as_secs_f64());
    shown.and(ended)
}

fn stop_signal(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Error> {
    signal(kind).map_err(|error| Error::Failed(error.to_string()))
}

fn names(plan: &Plan) -> String {
    plan.replicas.iter().map(|replica| replica.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn gateway(stage: &Stage) -> Result<String, Error> {
    let replica = stage.plan().of(GATEWAY).next();
    let replica = replica.ok_or_else(|| Error::Refused("there is no gateway".into()))?;
    Ok(format!("http://{}:{GATEWAY_PORT}", replica.address))
}

/// The demo, on what runs: it kills a worker and watches the mesh heal.
async fn show(stage: &Stage, ground: &Ground<'_>) -> Result<(), Error> {
    let uri = gateway(stage)?;
    let key = stage.plan().of(GATEWAY).find_map(|replica| match &replica.program {
        Program::Planaria(spec) => spec.environment.get(KEY),
        Program::Postgres(_) | Program::Redis(_) => None,
    });
    let mut command = tokio::process::Command::new(ground.planaria);
    command.args(["demo", "--exit", "--addr", &uri]).kill_on_drop(true);
    if let Some(key) = key {
        command.env("PLANARIA_API_KEY", key);
    }
    let status = command.status().await.map_err(Error::file(ground.planaria))?;
    if !status.success() {
        return Err(Error::Failed(format!("the demo: {status}")));
    }
    let named = boards::check(&ground.root.join("deploy/grafana"), stage.plan()).await?;
    println!("the boards name {named} metrics; all of them are served");
    Ok(())
}
