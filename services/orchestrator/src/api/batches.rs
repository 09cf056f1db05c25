//! Calls about many sessions, tasks or attempts at once: each part goes to the orchestrator that
//! has its shard, and the answers come back in the order of the parts.

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::future::join_all;
use tonic::{Extensions, Request, Status};

use super::Api;
use super::route::{Route, did_nothing, forwarded, is_forwarded};
use crate::engine::Handle;
use crate::error::Error;
use crate::store::Shard;

/// Where a part of a call goes.
pub(super) enum Part {
    /// To an engine of this process.
    Here(Handle),
    /// To another orchestrator, as a call of its own.
    There(super::route::Peer),
}

impl Api {
    /// Cuts a call into parts by shard, has each answered where its shard is, and puts the answers
    /// together in the order of the items. `answer` gets a call with the items of one shard, and
    /// must answer each.
    ///
    /// # Errors
    /// A part's.
    pub(super) async fn by_shard<I, A, R>(
        &self,
        request: Request<Vec<I>>,
        shard_of: impl Fn(&I) -> Shard,
        answer: impl Fn(Part, Request<Vec<I>>) -> R,
    ) -> Result<Vec<A>, Status>
    where
        I: Clone,
        R: Future<Output = Result<Vec<A>, Status>>,
    {
        let was_forwarded = is_forwarded(&request);
        let (metadata, _, items) = request.into_parts();
        // Almost always all of it belongs to one shard.
        let first = items.first().map_or_else(Shard::default, &shard_of);
        if items.iter().all(|item| shard_of(item) == first) {
            let request = Request::from_parts(metadata, Extensions::default(), items);
            return self.part(first, was_forwarded, request, &answer).await;
        }
        let count = items.len();
        let mut parts: BTreeMap<Shard, (Vec<usize>, Vec<I>)> = BTreeMap::new();
        for (place, item) in items.into_iter().enumerate() {
            let part = parts.entry(shard_of(&item)).or_default();
            part.0.push(place);
            part.1.push(item);
        }
        let calls = parts.into_iter().map(|(shard, (places, items))| {
            let request = Request::from_parts(metadata.clone(), Extensions::default(), items);
            let part = self.part(shard, was_forwarded, request, &answer);
            async move { Ok::<_, Status>((places, part.await?)) }
        });
        let mut all: Vec<Option<A>> = std::iter::repeat_with(|| None).take(count).collect();
        for outcome in join_all(calls).await {
            let (places, answers) = outcome?;
            for (place, answer) in places.into_iter().zip(answers) {
                all[place] = Some(answer);
            }
        }
        let answers: Option<Vec<A>> = all.into_iter().collect();
        answers.ok_or_else(|| Status::internal("an orchestrator left a part unanswered"))
    }

    /// Has the items of one shard answered where that is.
    async fn part<I, A, R>(
        &self,
        shard: Shard,
        was_forwarded: bool,
        request: Request<Vec<I>>,
        answer: impl Fn(Part, Request<Vec<I>>) -> R,
    ) -> Result<Vec<A>, Status>
    where
        I: Clone,
        R: Future<Output = Result<Vec<A>, Status>>,
    {
        let mut is_followed = false;
        loop {
            match self.route(shard).await? {
                Route::Here(local) => return answer(Part::Here(local.engine), request).await,
                Route::There(_) if was_forwarded => return Err(Error::Moving.into()),
                Route::There(peer) => {
                    match answer(Part::There(peer), forwarded(&request)).await {
                        // The shard moves: it is followed once.
                        Err(status) if !is_followed && did_nothing(&status) => is_followed = true,
                        outcome => return outcome,
                    }
                }
            }
        }
    }
}

/// A request with another message.
pub(super) fn with<T, U>(request: Request<T>, convert: impl FnOnce(T) -> U) -> Request<U> {
    let (metadata, extensions, message) = request.into_parts();
    Request::from_parts(metadata, extensions, convert(message))
}
