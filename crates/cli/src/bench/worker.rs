//! A worker that does nothing, as fast as it can: what is measured is the mesh.

use planaria_sdk::{CancellationToken, Context, Payload, Worker};

use super::FUNCTION;
use crate::Error;
use crate::host::parent;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    id: String,
    #[arg(long)]
    gateway: String,
    #[arg(long)]
    capacity: u32,
}

/// Works until standard input is closed.
pub(super) async fn run(arguments: Arguments, api_key: Option<String>) -> Result<(), Error> {
    let mut worker = Worker::builder(arguments.gateway);
    if let Some(key) = api_key {
        worker = worker.api_key(key);
    }
    let worker = worker
        .id(arguments.id)
        .capacity(arguments.capacity)
        .raw_function(FUNCTION, "1.0.0", step)
        .build()
        .map_err(|error| Error::input(format!("not a worker: {error}"), ""))?;
    let stop = CancellationToken::new();
    parent::end_with_stdin(stop.clone());
    let ended = worker.run(stop).await;
    ended.map_err(|error| Error::input(format!("the worker ended: {error}"), ""))
}

async fn step(_: Context, arguments: Payload) -> Result<Payload, planaria_sdk::TaskError> {
    Ok(arguments)
}
