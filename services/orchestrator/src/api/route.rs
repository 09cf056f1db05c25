//! Calls for a shard that another orchestrator has are passed on to it.

use std::collections::HashMap;
use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, StreamExt, stream};
use planaria_runtime::Directory;
use planaria_runtime::ReplicaChannel;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use super::Api;
use crate::error::Error;
use crate::shards::{Local, Place, Shards};
use crate::store::Shard;

/// Marks calls that were passed on: they are not passed on again.
const FORWARDED: &str = "planaria-forwarded";
/// The namespace of the workflow that emitted an event.
const ONLY_FOR: &str = "planaria-only-for";
/// What a call that is passed on keeps of the caller's metadata.
const KEPT: [&str; 5] =
    ["grpc-timeout", "planaria-identity", "traceparent", "tracestate", "planaria-request-id"];

/// A stream that may come from here or from elsewhere.
pub(crate) type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Channels to the other orchestrators; cheap to clone.
#[derive(Clone)]
pub(crate) struct Peers {
    directory: Directory,
    channels: Arc<Mutex<HashMap<String, ReplicaChannel>>>,
}

impl Peers {
    /// No channel yet.
    #[must_use]
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory, channels: Arc::default() }
    }

    /// The channel to an address; it connects when it is used.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn channel(&self, address: &str) -> Result<ReplicaChannel, Error> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let opened = self.directory.connect(address);
        let channel = opened.map_err(|error| Error::Internal(Box::new(error)))?;
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

/// Who answers a call.
pub(crate) enum Route {
    /// An engine of this process.
    Here(Local),
    /// Another orchestrator.
    There(Peer),
}

/// Another orchestrator that has a shard.
pub(crate) struct Peer {
    pub(crate) channel: ReplicaChannel,
    pub(crate) address: String,
    shard: Shard,
    shards: Shards,
}

impl Api {
    /// Who answers for a shard.
    pub(crate) async fn route(&self, shard: Shard) -> Result<Route, Error> {
        match self.shards.place(shard).await? {
            Place::Here(local) => Ok(Route::Here(local)),
            Place::There(address) => {
                let (channel, shards) = (self.peers.channel(&address)?, self.shards.clone());
                Ok(Route::There(Peer { channel, address, shard, shards }))
            }
        }
    }

    /// The same for a call, which is passed on at most once.
    pub(crate) async fn route_call<T>(
        &self,
        shard: Shard,
        request: &Request<T>,
    ) -> Result<Route, Error> {
        let route = self.route(shard).await?;
        match route {
            Route::There(_) if is_forwarded(request) => Err(Error::Moving),
            route => Ok(route),
        }
    }
}

impl Peer {
    /// A call's outcome. If the peer cannot be reached, the caller hears so once the shard is
    /// elsewhere, so that its next try finds it.
    pub(crate) async fn answer<T>(
        self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Response<T>, Status> {
        match call.await {
            Err(status) if is_unanswered(&status) => {
                self.shards.moved_from(self.shard, &self.address).await;
                Err(status)
            }
            outcome => outcome,
        }
    }
}

/// Whether nobody answered: a connection that breaks under a call has no code of its own.
fn is_unanswered(status: &Status) -> bool {
    let broke = status.source().and_then(|source| source.downcast_ref::<tonic::transport::Error>());
    broke.is_some() || status.code() == Code::Unavailable
}

/// Whether a call was passed on already.
pub(crate) fn is_forwarded<T>(request: &Request<T>) -> bool {
    request.metadata().contains_key(FORWARDED)
}

/// A call as it is passed on.
pub(crate) fn forwarded<T: Clone>(request: &Request<T>) -> Request<T> {
    let mut passed_on = Request::new(request.get_ref().clone());
    for key in KEPT {
        if let Some(value) = request.metadata().get(key) {
            passed_on.metadata_mut().insert(key, value.clone());
        }
    }
    mark(&mut passed_on);
    passed_on
}

/// Whether a call that was passed on did nothing: it never left, or met an orchestrator that has
/// the shard no more.
pub(crate) fn did_nothing(status: &Status) -> bool {
    let is_moving = || {
        let told = status.get_details_error_info();
        told.is_some_and(|info| info.reason == Error::MOVING)
    };
    planaria_runtime::client::was_never_sent(status) || is_moving()
}

/// Marks a call as passed on.
pub(crate) fn mark<T>(request: &mut Request<T>) {
    request.metadata_mut().insert(FORWARDED, tonic::metadata::MetadataValue::from_static("1"));
}

/// Says of an event that is passed on that only workflows of a namespace may take it.
pub(crate) fn only_for<T>(request: &mut Request<T>, namespace: &str) {
    if let Ok(namespace) = namespace.parse() {
        request.metadata_mut().insert(ONLY_FOR, namespace);
    }
}

/// The namespace that an event which was passed on is for.
pub(crate) fn is_only_for<T>(request: &Request<T>) -> Option<String> {
    let namespace = request.metadata().get(ONLY_FOR).filter(|_| is_forwarded(request))?;
    namespace.to_str().ok().map(str::to_owned)
}

/// A stream from elsewhere. It fails when this process stops: its source goes on, and who waited
/// for its end would hold this process's shards for as long.
pub(crate) fn streamed<T: Send + 'static>(
    response: Response<tonic::Streaming<T>>,
    stop: &CancellationToken,
) -> Response<Streamed<T>> {
    let stop = stop.clone();
    response.map(|source| {
        let told = stream::unfold(Some((source, stop)), |state| async {
            let (mut source, stop) = state?;
            tokio::select! {
                next = source.next() => next.map(|next| (next, Some((source, stop)))),
                () = stop.cancelled() => {
                    Some((Err(Status::unavailable("the orchestrator is leaving")), None))
                }
            }
        });
        told.boxed()
    })
}

/// The engine of a shard; if another orchestrator has it, the function returns that one's answer.
/// A shard that moves meanwhile is followed once, so that its caller need not know.
macro_rules! engine_of {
    ($api:expr, $shard:expr, $request:ident, $client:ident . $method:ident) => {{
        let mut is_followed = false;
        loop {
            match $api.route_call($shard, &$request).await? {
                crate::api::route::Route::Here(local) => break local.engine,
                crate::api::route::Route::There(peer) => {
                    let mut client = $client::new(peer.channel.clone())
                        .max_decoding_message_size(crate::api::MESSAGE_BYTES_MAX);
                    let request = crate::api::route::forwarded(&$request);
                    match peer.answer(async move { client.$method(request).await }).await {
                        Err(status) if !is_followed && crate::api::route::did_nothing(&status) => {
                            is_followed = true;
                        }
                        outcome => return outcome,
                    }
                }
            }
        }
    }};
}
pub(crate) use engine_of;
