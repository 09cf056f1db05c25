//! The orchestrator's gRPC services: convert, call, convert.

mod access;
mod batches;
mod definition;
mod flow;
mod followed;
mod intake;
mod internal;
mod lending;
mod limited;
mod payload;
pub(crate) mod route;
mod statistics;
mod task;
mod trace;
mod view;
mod watch;
mod workflow;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use planaria_kernel::Json;
use planaria_proto::types::v1::Payload;
use planaria_telemetry::Tracer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Config;
use crate::definitions::Definitions;
use crate::engine::Command;
use crate::error::Error;
use crate::lending::Lent;
use crate::limits::Limits;
use crate::shards::Shards;
use crate::store::{Shard, ShardRegistry, WorkflowStore};
use crate::token::Tokens;
pub(crate) use intake::Intake;
use route::Peers;

/// What all services of the orchestrator share; cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) config: Config,
    /// For what is everybody's: the shard's own is in [`Api::store_of`].
    pub(crate) store: Arc<dyn WorkflowStore>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) registry: Arc<dyn ShardRegistry>,
    pub(crate) shards: Shards,
    pub(crate) peers: Peers,
    pub(crate) lent: Lent,
    pub(crate) limits: Limits,
    /// The room for starts.
    pub(crate) intake: Intake,
    pub(crate) tokens: Tokens,
    /// Where this process answers.
    pub(crate) address: String,
    pub(crate) tracer: Tracer,
    pub(crate) stop: CancellationToken,
    /// Held by whoever may still need an engine; nothing is ever sent.
    pub(crate) _requests: Option<mpsc::Sender<Infallible>>,
}

/// Largest message between services of the mesh: a batch of payloads.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Api {
    /// For what serves no request: the engines do not wait for its end.
    pub(crate) fn without_requests(&self) -> Self {
        Self { _requests: None, ..self.clone() }
    }

    /// The store as the shard of a workflow or session has it.
    pub(crate) fn store_of(&self, id: Uuid) -> Arc<dyn WorkflowStore> {
        self.registry.store(Shard::of(id), 0)
    }

    /// The functions that some worker offers.
    pub(crate) async fn functions(&self) -> Result<Vec<String>, Error> {
        // Sessions of other shards are lent to every shard.
        let local = self.shards.any().await?;
        Ok(local.engine.ask(Command::Statistics).await?.functions)
    }

    /// A payload as a JSON document.
    fn json(&self, field: &'static str, payload: Payload) -> Result<Json, Error> {
        let kind = payload.content_type.as_str();
        if !kind.is_empty() && kind != "application/json" && !kind.starts_with("application/json;")
        {
            let message = format!("content type {kind:?} is not supported: send JSON");
            return Err(invalid("INPUT_INVALID", field, message));
        }
        self.json_bytes(field, payload.data)
    }

    fn json_bytes(&self, field: &'static str, data: Bytes) -> Result<Json, Error> {
        self.json_within(Json::DEPTH_MAX, field, data)
    }

    /// The same with another limit on how deep it is nested.
    fn json_within(&self, levels: usize, field: &'static str, data: Bytes) -> Result<Json, Error> {
        let most = self.config.payload_bytes_max;
        if data.len() > most {
            return Err(Error::PayloadTooLarge { field, have: data.len(), most });
        }
        match payload::check(&data, levels) {
            Ok(()) => Ok(Json::from_valid(data)),
            Err(fault) => Err(invalid("INPUT_INVALID", field, fault)),
        }
    }
}

/// Longest reason that people or workers give for what they do.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// A reason as the history keeps it: cut if it is too long.
pub(crate) fn reason(mut text: String) -> String {
    cut(&mut text, REASON_BYTES_MAX);
    text
}

/// Cuts a text to so many bytes, where a character begins.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}

pub(crate) fn invalid(
    reason: &'static str,
    field: impl Into<String>,
    message: impl Into<String>,
) -> Error {
    Error::Invalid { reason, field: field.into(), message: message.into() }
}

/// The id of a workflow; what is no id at all names no workflow.
pub(crate) fn workflow_id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::WorkflowNotFound(text.to_owned()))
}

/// How many rows a page has.
pub(crate) const fn page_size(wanted: u32, usual: u32, most: u32) -> u32 {
    match wanted {
        0 => usual,
        wanted if wanted > most => most,
        wanted => wanted,
    }
}
