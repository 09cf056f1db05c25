//! What a caller may know of: its key's namespace. What lies in another is told as what does not
//! exist.

use planaria_proto::retry::v1::{DeadLetterFilter, Redrive, StartRedriveRequest};
use planaria_runtime::Identity;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::convert;
use crate::error::Error;
use crate::records::{DeadLetter, Filter, RetryKey, Route};
use crate::store::RetryStore;

/// Retries of a workflow that are looked through for one of them.
const RETRIES_MAX: u32 = 100_000;

/// A caller's part of what is kept.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The only namespace; `None` = all.
    own: Option<String>,
}

impl Scope {
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let caller = Identity::of(request)?;
        Ok(Self { own: caller.only_namespace().map(str::to_owned) })
    }

    /// The namespace that is looked into; empty: all.
    pub(crate) fn namespace(&self, asked: String) -> String {
        match &self.own {
            Some(own) if asked.is_empty() || asked == *own => own.clone(),
            // Nothing is in there: a definition's namespace has no such letter.
            Some(_) => "/".to_owned(),
            None => asked,
        }
    }

    pub(crate) fn filter(&self, asked: Option<DeadLetterFilter>) -> Option<DeadLetterFilter> {
        if self.own.is_none() {
            return asked;
        }
        let mut filter = asked.unwrap_or_default();
        filter.namespace = self.namespace(filter.namespace);
        Some(filter)
    }

    fn sees(&self, namespace: &str) -> bool {
        self.own.as_ref().is_none_or(|own| own == namespace)
    }

    /// A dead letter that the caller may know of.
    pub(crate) async fn dead_letter(
        &self,
        store: &dyn RetryStore,
        id: &str,
    ) -> Result<DeadLetter, Error> {
        let letter = store.dead_letter(id).await?;
        let letter = letter.filter(|letter| self.sees(&letter.definition.namespace));
        letter.ok_or_else(|| Error::DeadLetterNotFound(id.to_owned()))
    }

    /// Whether a retry is one that the caller may know of.
    pub(crate) async fn check_retry(
        &self,
        store: &dyn RetryStore,
        key: &RetryKey,
    ) -> Result<(), Error> {
        let Some(own) = &self.own else { return Ok(()) };
        let retries = store.retries(own, &key.workflow, RETRIES_MAX).await?;
        let known = retries.iter().any(|retry| retry.key == *key);
        if known { Ok(()) } else { Err(Error::RetryNotFound(key.to_string())) }
    }

    /// A breaker as the caller means it: where it names no namespace, its own.
    pub(crate) fn route(&self, mut route: Route) -> Result<Route, Error> {
        if let Some(own) = self.own.as_ref().filter(|_| route.namespace.is_empty()) {
            route.namespace.clone_from(own);
        }
        if self.sees(&route.namespace) {
            return Ok(route);
        }
        Err(Error::BreakerNotFound(route.to_string()))
    }

    /// The id of a redrive as it is kept: those of different namespaces never meet.
    pub(crate) fn redrive_id(&self, named: &str) -> String {
        self.own.as_ref().map_or_else(|| named.to_owned(), |own| format!("{own}/{named}"))
    }

    /// A start that stays inside of the namespace.
    pub(crate) fn start(
        &self,
        mut request: StartRedriveRequest,
    ) -> Result<StartRedriveRequest, Error> {
        if self.own.is_some() {
            if convert::filter(request.filter.clone()) == Filter::default() {
                return Err(Error::FilterEmpty);
            }
            if request.redrive_id.is_empty() {
                request.redrive_id = Uuid::new_v4().to_string();
            }
            request.redrive_id = self.redrive_id(&request.redrive_id);
            request.filter = self.filter(request.filter);
        }
        Ok(request)
    }

    /// A redrive with its id as the caller named it.
    pub(crate) fn shown(&self, mut redrive: Redrive) -> Redrive {
        if let Some(own) = &self.own
            && let Some(named) = redrive.id.strip_prefix(own)
        {
            redrive.id = named.trim_start_matches('/').to_owned();
        }
        redrive
    }
}
