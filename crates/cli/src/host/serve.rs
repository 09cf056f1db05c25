//! `serve`: one service in this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use futures_util::FutureExt;
use planaria_runtime::Deps;
use planaria_runtime::config::Source;
use planaria_runtime::shutdown;
use planaria_telemetry::Tracer;

use super::services::{self, Entry, Sockets};
use super::settings::Settings;
use super::{listeners, parent};
use crate::Error;
use crate::output::Output;

/// Where services keep their files when nobody says where.
pub(crate) const DATA_DIR: &str = "planaria-data";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which: gateway, orchestrator, worker, failure-detector, retry-engine, notification,
    /// monitoring
    #[arg(value_parser = services::find)]
    service: &'static Entry,
    /// The settings, in TOML; variables PLANARIA__SECTION__KEY go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the service keeps its files
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Where it listens; without it, loopback and the service's own port
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where other services reach it, as http://HOST:PORT; without it, where it listens
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// Where /metrics, /healthz and /readyz are; without it, the port above by 1000
    #[arg(long, value_name = "ADDRESS|off")]
    admin: Option<Admin>,
    /// Print the settings as they are in effect, and end
    #[arg(long)]
    print_config: bool,
    /// End when standard input is closed: whoever started it is gone
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

/// An address, or none.
#[derive(Debug, Clone, Copy)]
enum Admin {
    Off,
    At(SocketAddr),
}

impl FromStr for Admin {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

/// Serves until a signal, then drains.
pub(crate) fn execute(arguments: Arguments, output: Output) -> Result<(), Error> {
    let source = Source::read(arguments.config.as_deref())?;
    let settings = Settings::read(&source)?;
    if arguments.print_config {
        return print(arguments.service, &source, &settings, output);
    }
    let (runtime, tracer) = super::traced_runtime(&settings.telemetry, arguments.service.name)?;
    runtime.block_on(async {
        let ended = serve(arguments, source, settings, tracer.clone(), output).await;
        tracer.flush().await;
        ended
    })
}

fn print(entry: &Entry, source: &Source, settings: &Settings, output: Output) -> Result<(), Error> {
    let process = toml::to_string(settings)
        .map_err(|error| Error::input(format!("the settings are not TOML: {error}"), ""))?;
    output.line(&format!("{process}\n{}", (entry.print)(source)?.trim_end()))
}

async fn serve(
    arguments: Arguments,
    source: Source,
    settings: Settings,
    tracer: Tracer,
    output: Output,
) -> Result<(), Error> {
    let stop = shutdown::on_signal()?;
    if arguments.end_with_stdin {
        parent::end_with_stdin(stop.clone());
    }
    let Arguments { service, data_dir, .. } = arguments;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = arguments.listen.unwrap_or(SocketAddr::new(loopback, service.port));
    let listener = listeners::bind(address).await?;
    let admin = match arguments.admin {
        Some(Admin::Off) => None,
        Some(Admin::At(address)) => Some(listeners::bind(address).await?),
        None => Some(listeners::bind(listeners::admin_of(address)?).await?),
    };
    super::mesh::create(&data_dir)?;
    let address = match arguments.advertise {
        Some(address) => address,
        None => listeners::reachable(&listener).await?,
    };
    let deps = Deps { address, tracer, ..settings.deps(settings.directory()?, data_dir, stop)? };
    let built = (service.build)(source, deps).await?;
    let uri = listeners::uri(&listener)?;
    let mut served = (built.serve)(Sockets { listener, admin, limits: settings.server });
    // What refuses to serve there does so at once, and then nothing is said to be there.
    if let Some(ended) = (&mut served).now_or_never() {
        return ended;
    }
    output.line(&format!("{} at {uri}", service.name))?;
    served.await
}
