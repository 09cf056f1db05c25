//! `demo`: an order, a killed worker, and how the mesh heals, told as it happens.

mod director;
mod stage;
mod timeline;

use std::net::{Ipv4Addr, SocketAddr};

use planaria_runtime::config::Source;
use planaria_runtime::shutdown;
use planaria_runtime::telemetry::Telemetry;
use planaria_telemetry::Tracer;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::client::{Client, Gateway};
use crate::error::FAILED;
use crate::host::mesh::{Mesh, Plan};
use crate::output::Output;
use crate::output::style::Style;
use director::Director;
use timeline::Timeline;

/// Worker processes: one dies, one heals.
const WORKERS: u32 = 2;
/// The killed worker stays away for a while: so it is its absence that is noticed, not its return.
const RESTART_MS: u64 = 3_000;
/// Where the demo answers if nobody listens there already.
const PORT: u16 = 8080;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End when the story is told, also on a terminal
    #[arg(long)]
    exit: bool,
    /// The port of the gateway on loopback; without it, 8080 or a free one
    #[arg(long)]
    port: Option<u16>,
    /// What is logged on standard error, such as info or planaria=debug
    #[arg(long, value_name = "FILTER", default_value = "error")]
    log: String,
}

/// Tells the story: on the mesh at the address, whose workers must be processes of this machine;
/// without an address on a mesh of its own, which on a terminal stays up until Ctrl-C.
pub(crate) fn execute(
    arguments: Arguments,
    gateway: &Gateway,
    output: Output,
) -> Result<(), Error> {
    let source = Source::read(None)?;
    let telemetry = source.section::<Telemetry>("telemetry")?;
    let telemetry = Telemetry { level: arguments.log.clone(), ..telemetry };
    let (runtime, tracer) = crate::host::traced_runtime(&telemetry, "demo")?;
    match &gateway.address {
        Some(address) => runtime.block_on(visit(address, gateway, output)),
        None => runtime.block_on(run(arguments, source, tracer, output)),
    }
}

/// On a mesh that runs already.
async fn visit(address: &str, gateway: &Gateway, output: Output) -> Result<(), Error> {
    let stop = shutdown::on_signal()?;
    let client = Client::open(gateway, output)?;
    let workers = usize::try_from(WORKERS).unwrap_or(usize::MAX);
    match stop.run_until_cancelled(tell(&client, address, workers)).await {
        Some(Ok(true)) => Ok(()),
        Some(Err(error)) => Err(error),
        Some(Ok(false)) | None => Err(Error::Ended(FAILED)),
    }
}

async fn run(
    arguments: Arguments,
    source: Source,
    tracer: Tracer,
    output: Output,
) -> Result<(), Error> {
    let stop = shutdown::on_signal()?;
    let folder = tempfile::Builder::new().prefix("planaria-demo-").tempdir()?;
    let port = arguments.port.unwrap_or_else(free_port);
    let data_dir = folder.path().to_owned();
    let Arguments { exit, log, .. } = arguments;
    let plan = Plan {
        source,
        config: None,
        data_dir,
        port,
        workers: WORKERS,
        restart_ms: RESTART_MS,
        log,
        tracer,
    };
    let mesh = Mesh::start(plan).await?;
    let client = Client::open(&Gateway::at(&mesh.uri, None), output)?;
    let told = stop.run_until_cancelled(tell(&client, &mesh.uri, mesh.workers.len())).await;
    let stays = output.is_conversation() && !exit && matches!(told, Some(Ok(true)));
    if stays {
        stay(output, &mesh)?;
    } else {
        stop.cancel();
    }
    let ended = run_until(mesh, &stop).await;
    match told {
        // Interrupted before the end of the story.
        None => Err(Error::Ended(FAILED)),
        Some(told) => match told? {
            true => ended,
            false => Err(Error::Ended(FAILED)),
        },
    }
}

async fn run_until(mesh: Mesh, stop: &CancellationToken) -> Result<(), Error> {
    mesh.run(stop).await
}

/// Whether the order completed and its healing is on record.
async fn tell(client: &Client, uri: &str, workers: usize) -> Result<bool, Error> {
    let output = client.output;
    let telling = !output.is_json();
    if telling {
        let uri = output.paint(Style::Strong, uri);
        output.line("")?;
        output
            .line(&format!("  A mesh of seven services is up at {uri}, with {workers} workers"))?;
        output.line("  in processes of their own. An order comes in.")?;
        output.line("")?;
    }
    let timeline: Timeline = Director::new(client).direct().await?;
    if telling {
        timeline.show(output)?;
    } else {
        output.document(&timeline.document()?)?;
    }
    Ok(timeline.is_healed())
}

fn stay(output: Output, mesh: &Mesh) -> Result<(), Error> {
    let dim = |text: &str| output.paint(Style::Dim, text);
    let uri = &mesh.uri;
    output.line("")?;
    output.line(&format!("  {}", dim("The mesh stays up. Look around from another terminal:")))?;
    for command in ["planaria workflow list", "planaria healing list", "planaria status"] {
        output.line(&format!("    {command} --addr {uri}"))?;
    }
    output.line(&format!("  {}", dim("Ctrl-C ends it and removes its files.")))
}

fn free_port() -> u16 {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    if std::net::TcpListener::bind(address).is_ok() { PORT } else { 0 }
}
