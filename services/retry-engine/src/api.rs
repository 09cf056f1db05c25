//! `RetryService`: convert, call, convert.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, stream};
use planaria_kernel::retry::breaker::BreakerEvent;
use planaria_proto::retry::v1::retry_service_server::RetryService;
use planaria_proto::retry::v1::*;
use planaria_runtime::clock;
use tonic::{Request, Response, Status};

use crate::board::Board;
use crate::config::Config;
use crate::convert;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::orchestrator::Orchestrator;
use crate::records::{Retry as WaitingRetry, RetryKey};
use crate::scope::Scope;
use crate::store::BreakerRow;
use crate::{redrive, redrive_start, story};

/// Entries of a page when the caller does not say.
const PAGE_SIZE_DEFAULT: u32 = 100;
/// Workflows looked up at the same time to name the tasks of a list.
const LOOKUPS_AT_ONCE: usize = 8;

pub(crate) struct Api {
    pub(crate) ledger: Ledger,
    pub(crate) board: Board,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) config: Config,
}

#[tonic::async_trait]
impl RetryService for Api {
    async fn list_retries(
        &self,
        request: Request<ListRetriesRequest>,
    ) -> Result<Response<ListRetriesResponse>, Status> {
        let scope = Scope::of(&request)?;
        let request = request.into_inner();
        let limit = self.page_size(request.page_size);
        let store = &self.ledger.store;
        let namespace = scope.namespace(request.namespace);
        let retries = store.retries(&namespace, &request.workflow_id, limit).await;
        let retries = self.named(retries.map_err(Error::from)?).await;
        Ok(Response::new(ListRetriesResponse { retries }))
    }

    async fn retry_now(
        &self,
        request: Request<RetryNowRequest>,
    ) -> Result<Response<RetryNowResponse>, Status> {
        let scope = Scope::of(&request)?;
        let id = request.into_inner().id;
        let Some(key) = RetryKey::parse(&id) else { return Err(Error::RetryNotFound(id).into()) };
        scope.check_retry(&*self.ledger.store, &key).await?;
        let found = self.ledger.store.reschedule(&key, clock::now_ms()).await;
        if !found.map_err(Error::from)? {
            return Err(Error::RetryNotFound(id).into());
        }
        self.ledger.due_changed.notify_one();
        Ok(Response::new(RetryNowResponse {}))
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let scope = Scope::of(&request)?;
        let request = request.into_inner();
        let limit = self.page_size(request.page_size);
        let state = open_unless_said(request.state());
        let before = page::read(&request.page_token)?;
        let mut filter = convert::filter(scope.filter(request.filter));
        if filter.workflow.is_empty() {
            filter.workflow = request.workflow_id;
        }
        let store = &self.ledger.store;
        let letters = store.dead_letters(state, &filter, before, limit).await;
        let letters = letters.map_err(Error::from)?;
        let next_page_token = match letters.last() {
            Some(last) if letters.len() >= limit as usize => page::write(last),
            _ => String::new(),
        };
        let total = store.dead_letter_count(state, &filter).await.map_err(Error::from)?;
        let dead_letters = letters.into_iter().map(convert::dead_letter).collect();
        Ok(Response::new(ListDeadLettersResponse { dead_letters, next_page_token, total }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<GetDeadLetterRequest>,
    ) -> Result<Response<GetDeadLetterResponse>, Status> {
        let scope = Scope::of(&request)?;
        let id = request.into_inner().id;
        let letter = scope.dead_letter(&*self.ledger.store, &id).await?;
        let events_max = self.config.story_events_max;
        let story =
            story::read(&self.orchestrator, &letter.workflow, &letter.task, events_max).await?;
        let mut letter = convert::dead_letter(letter);
        letter.story = story.events.into();
        letter.arguments = story.arguments;
        Ok(Response::new(GetDeadLetterResponse { dead_letter: Some(letter) }))
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<RedriveDeadLettersRequest>,
    ) -> Result<Response<RedriveDeadLettersResponse>, Status> {
        let scope = Scope::of(&request)?;
        let RedriveDeadLettersRequest { ids, input } = request.into_inner();
        for id in ids.iter().take(self.config.redrive_max) {
            scope.dead_letter(&*self.ledger.store, id).await?;
        }
        let input = input.as_ref().map(redrive_start::json).transpose()?;
        let (ledger, orchestrator) = (&self.ledger, &self.orchestrator);
        let outcomes =
            redrive::redrive_all(ledger, orchestrator, &self.config, (ids, input)).await?;
        Ok(Response::new(RedriveDeadLettersResponse { outcomes }))
    }

    async fn list_dead_letter_groups(
        &self,
        request: Request<ListDeadLetterGroupsRequest>,
    ) -> Result<Response<ListDeadLetterGroupsResponse>, Status> {
        let scope = Scope::of(&request)?;
        let request = request.into_inner();
        let limit = self.page_size(request.page_size);
        let state = open_unless_said(request.state());
        let filter = convert::filter(scope.filter(request.filter));
        let groups = self.ledger.store.dead_letter_groups(state, &filter, limit).await;
        let groups = groups.map_err(Error::from)?.into_iter().map(convert::group).collect();
        Ok(Response::new(ListDeadLetterGroupsResponse { groups }))
    }

    async fn start_redrive(
        &self,
        request: Request<StartRedriveRequest>,
    ) -> Result<Response<StartRedriveResponse>, Status> {
        let scope = Scope::of(&request)?;
        let config = &self.config.redrive;
        let request = scope.start(request.into_inner())?;
        let redrive = redrive_start::start(&self.ledger, config, request).await?;
        Ok(Response::new(StartRedriveResponse { redrive: Some(scope.shown(redrive)) }))
    }

    async fn get_redrive(
        &self,
        request: Request<GetRedriveRequest>,
    ) -> Result<Response<GetRedriveResponse>, Status> {
        let scope = Scope::of(&request)?;
        let redrive = Some(self.redrive(&scope, &request.into_inner().redrive_id).await?);
        Ok(Response::new(GetRedriveResponse { redrive }))
    }

    async fn stop_redrive(
        &self,
        request: Request<StopRedriveRequest>,
    ) -> Result<Response<StopRedriveResponse>, Status> {
        let scope = Scope::of(&request)?;
        let named = request.into_inner().redrive_id;
        let id = scope.redrive_id(&named);
        let stopped = self.ledger.store.stop_redrive(&id, clock::now_ms()).await;
        stopped.map_err(Error::from)?;
        let redrive = Some(self.redrive(&scope, &named).await?);
        Ok(Response::new(StopRedriveResponse { redrive }))
    }

    async fn list_breakers(
        &self,
        request: Request<ListBreakersRequest>,
    ) -> Result<Response<ListBreakersResponse>, Status> {
        let scope = Scope::of(&request)?;
        let ListBreakersRequest { namespace, all, page_size } = request.into_inner();
        let namespace = scope.namespace(namespace);
        let limit = self.page_size(page_size);
        let rows = self.ledger.store.breakers(&namespace, all, limit).await;
        let breakers = rows.map_err(Error::from)?.iter().map(|row| self.shown(row)).collect();
        Ok(Response::new(ListBreakersResponse { breakers }))
    }

    async fn reset_breaker(
        &self,
        request: Request<ResetBreakerRequest>,
    ) -> Result<Response<ResetBreakerResponse>, Status> {
        let scope = Scope::of(&request)?;
        let route = scope.route(convert::route(request.into_inner().key.unwrap_or_default()))?;
        if self.ledger.store.breaker(&route).await.map_err(Error::from)?.is_none() {
            return Err(Error::BreakerNotFound(route.to_string()).into());
        }
        let (row, _) = self.board.act(&route, BreakerEvent::Reset).await?;
        Ok(Response::new(ResetBreakerResponse { breaker: Some(self.shown(&row)) }))
    }

    async fn list_breaker_changes(
        &self,
        request: Request<ListBreakerChangesRequest>,
    ) -> Result<Response<ListBreakerChangesResponse>, Status> {
        let scope = Scope::of(&request)?;
        let ListBreakerChangesRequest { namespace, page_size } = request.into_inner();
        let namespace = scope.namespace(namespace);
        let limit = self.page_size(page_size);
        let changes = self.ledger.store.breaker_changes(&namespace, limit).await;
        let changes = changes.map_err(Error::from)?;
        Ok(Response::new(ListBreakerChangesResponse { changes }))
    }
}

const fn open_unless_said(state: DeadLetterState) -> DeadLetterState {
    match state {
        DeadLetterState::Unspecified => DeadLetterState::Open,
        state => state,
    }
}

impl Api {
    async fn redrive(&self, scope: &Scope, named: &str) -> Result<Redrive, Error> {
        let found = self.ledger.store.redrive(&scope.redrive_id(named)).await?;
        let found = found.map(|row| scope.shown(row.redrive));
        found.ok_or_else(|| Error::RedriveNotFound(named.to_owned()))
    }

    fn shown(&self, row: &BreakerRow) -> Breaker {
        convert::breaker(row, self.config.breaker.window_ms, clock::now_ms())
    }

    fn page_size(&self, asked: u32) -> u32 {
        let size = if asked == 0 { PAGE_SIZE_DEFAULT } else { asked };
        size.min(self.config.page_size_max.max(1))
    }

    /// With the names of their tasks, which only the orchestrator knows. While it is away, the
    /// list is shown without them.
    async fn named(&self, retries: Vec<WaitingRetry>) -> Vec<Retry> {
        let workflows: BTreeSet<_> =
            retries.iter().map(|retry| retry.key.workflow.clone()).collect();
        let names: HashMap<String, HashMap<u32, String>> = stream::iter(workflows)
            .map(|workflow| async {
                let tasks = self.orchestrator.tasks(&workflow).await.unwrap_or_default();
                (workflow, tasks)
            })
            .buffer_unordered(LOOKUPS_AT_ONCE)
            .collect()
            .await;
        let name = |key: &RetryKey| names.get(&key.workflow)?.get(&key.frame).cloned();
        let named = retries.into_iter().map(|retry| {
            let task = name(&retry.key).unwrap_or_default();
            convert::retry(retry, task)
        });
        named.collect()
    }
}

/// Page tokens: where the last page ended.
mod page {
    use crate::error::Error;
    use crate::records::DeadLetter;

    pub(super) fn write(last: &DeadLetter) -> String {
        format!("{}-{}", last.created_at_ms, last.id)
    }

    pub(super) fn read(token: &str) -> Result<Option<(u64, String)>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        let (created_at_ms, id) = token.split_once('-').ok_or(Error::PageTokenInvalid)?;
        let created_at_ms = created_at_ms.parse().map_err(|_| Error::PageTokenInvalid)?;
        Ok(Some((created_at_ms, id.to_owned())))
    }
}
