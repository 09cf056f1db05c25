//! The orchestrator's gRPC services: convert, call, convert.

mod definition;
mod internal;
mod payload;
mod task;
mod view;
mod workflow;

use std::sync::Arc;

use bytes::Bytes;
use planaria_kernel::Json;
use planaria_proto::types::v1::Payload;
use planaria_runtime::Directory;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Config;
use crate::definitions::Definitions;
use crate::engine::Handle;
use crate::error::Error;
use crate::log::LogTail;
use crate::store::WorkflowStore;
use crate::token::Tokens;

/// What all services of the orchestrator share; cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn WorkflowStore>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) engine: Handle,
    pub(crate) tokens: Tokens,
    pub(crate) tail: LogTail,
    pub(crate) directory: Directory,
    pub(crate) stop: CancellationToken,
}

impl Api {
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
        let most = self.config.payload_bytes_max;
        if data.len() > most {
            return Err(Error::PayloadTooLarge { field, have: data.len(), most });
        }
        match payload::check(&data) {
            Ok(()) => Ok(Json::from_valid(data)),
            Err(error) => {
                Err(invalid("INPUT_INVALID", field, format!("is not a JSON document: {error}")))
            }
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
