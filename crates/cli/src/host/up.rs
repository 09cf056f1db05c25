//! `up`: the whole mesh in one command.

use std::path::PathBuf;

use planaria_runtime::config::Source;
use planaria_runtime::shutdown;
use planaria_runtime::telemetry::Telemetry;
use planaria_telemetry::Tracer;

use super::mesh::{Mesh, Plan};
use super::serve::DATA_DIR;
use crate::Error;
use crate::output::Output;
use crate::output::style::Style;

/// The most worker processes of one `up`.
const WORKERS_MAX: i64 = 256;

/// The first pause before a worker process that ended is started again.
const RESTART_MS: u64 = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where everything is kept; made if it is not there
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// The port of the gateway on loopback; metrics and health are 1000 above. 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// How many worker processes
    #[arg(long, default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=WORKERS_MAX))]
    workers: u32,
    /// The settings, in TOML; variables PLANARIA__SECTION__KEY go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// End when standard input is closed: whoever started it is gone
    #[arg(long, hide = true)]
    end_with_stdin: bool,
    /// What is logged on standard error, such as info or planaria=debug
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
}

/// Runs the mesh until a signal.
pub(crate) fn execute(arguments: Arguments, output: Output) -> Result<(), Error> {
    let source = Source::read(arguments.config.as_deref())?;
    let telemetry = source.section::<Telemetry>("telemetry")?;
    let telemetry = Telemetry { level: arguments.log.clone(), ..telemetry };
    let (runtime, tracer) = super::traced_runtime(&telemetry, "mesh")?;
    runtime.block_on(async {
        let ended = run(arguments, source, tracer.clone(), output).await;
        tracer.flush().await;
        ended
    })
}

async fn run(
    arguments: Arguments,
    source: Source,
    tracer: Tracer,
    output: Output,
) -> Result<(), Error> {
    let stop = shutdown::on_signal()?;
    let Arguments { data_dir, port, workers, config, log, end_with_stdin } = arguments;
    if end_with_stdin {
        super::parent::end_with_stdin(stop.clone());
    }
    let kept = data_dir.display().to_string();
    let restart_ms = RESTART_MS;
    let plan = Plan { source, config, data_dir, port, workers, restart_ms, log, tracer };
    let Some(mesh) = stop.run_until_cancelled(Mesh::start(plan)).await else { return Ok(()) };
    let mesh = mesh?;
    let word = output.paint(Style::Good, "ready");
    let (uri, admin) = (output.paint(Style::Strong, &mesh.uri), &mesh.admin_uri);
    output.line(&format!(
        "{word} at {uri} ({workers} workers, metrics at {admin}, data in {kept})"
    ))?;
    mesh.run(&stop).await
}
