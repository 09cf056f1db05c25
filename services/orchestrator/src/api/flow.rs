//! `FlowService`.

use std::collections::BTreeMap;

use planaria_kernel::flow::Rate;
use planaria_proto::flow::v1::flow_service_server::FlowService;
use planaria_proto::flow::v1::list_limits_response::LimitState;
use planaria_proto::flow::v1::{
    DeleteLimitRequest, DeleteLimitResponse, Limit, LimitUse as UseMessage, ListLimitsRequest,
    ListLimitsResponse, PutLimitRequest, PutLimitResponse,
};
use planaria_runtime::Identity;
use planaria_runtime::clock::now_ms;
use tonic::{Request, Response, Status};

use super::{Api, access, invalid};
use crate::convert::timestamp;
use crate::error::Error;
use crate::limits::{LimitKey, LimitRow, UseRow};

/// Limits that a mesh may have.
const LIMITS_MAX: usize = 10_000;
/// Longest name of a namespace or function, and longest pointer.
const NAME_BYTES_MAX: usize = 256;
/// Most that a limit may let run, start or burst.
const MOST: u32 = 1_000_000;
/// Slowest rate: one start in 1 000 s.
const RATE_MIN: f64 = 0.001;
/// Values of a limit that are shown.
const USES_SHOWN_MAX: usize = 20;

#[tonic::async_trait]
impl FlowService for Api {
    async fn put_limit(
        &self,
        request: Request<PutLimitRequest>,
    ) -> Result<Response<PutLimitResponse>, Status> {
        let caller = Identity::of(&request)?;
        let limit = request.into_inner().limit.unwrap_or_default();
        let key = key(
            &caller,
            "limit.",
            (limit.namespace.clone(), limit.function.clone()),
            limit.per.clone(),
        )?;
        let row = row(key, &limit)?;
        access::writes(&caller, &row.key.namespace)?;
        let store = self.limits.store();
        let known = store.limits().await.map_err(Error::from)?;
        if known.len() >= LIMITS_MAX && known.iter().all(|known| known.key != row.key) {
            return Err(Error::LimitsTooMany { most: LIMITS_MAX }.into());
        }
        let (row, created) = store.put_limit(&row).await.map_err(Error::from)?;
        self.limits.change();
        Ok(Response::new(PutLimitResponse { limit: Some(message(&row)), created }))
    }

    async fn list_limits(
        &self,
        request: Request<ListLimitsRequest>,
    ) -> Result<Response<ListLimitsResponse>, Status> {
        let caller = Identity::of(&request)?;
        let Ok(namespace) = access::listed(&caller, request.into_inner().namespace) else {
            return Ok(Response::new(ListLimitsResponse::default()));
        };
        let store = self.limits.store();
        let rows = store.limits().await.map_err(Error::from)?;
        let uses = store.limit_uses().await.map_err(Error::from)?;
        let shown = rows.iter().filter(|row| {
            namespace.as_ref().is_none_or(|namespace| row.key.namespace == *namespace)
        });
        let limits = shown.map(|row| state(row, &uses)).collect();
        Ok(Response::new(ListLimitsResponse { limits }))
    }

    async fn delete_limit(
        &self,
        request: Request<DeleteLimitRequest>,
    ) -> Result<Response<DeleteLimitResponse>, Status> {
        let caller = Identity::of(&request)?;
        let DeleteLimitRequest { namespace, function, per } = request.into_inner();
        let key = key(&caller, "", (namespace, function), per)?;
        access::writes(&caller, &key.namespace)?;
        if !self.limits.store().delete_limit(&key).await.map_err(Error::from)? {
            return Err(Error::LimitNotFound(key).into());
        }
        self.limits.change();
        Ok(Response::new(DeleteLimitResponse {}))
    }
}

/// The key of a limit as its caller means it.
fn key(
    caller: &Identity,
    prefix: &str,
    (mut namespace, function): (String, String),
    per: String,
) -> Result<LimitKey, Error> {
    let refuse = |field: &str, message: &str| {
        Err(invalid("LIMIT_INVALID", format!("{prefix}{field}"), message))
    };
    if namespace.is_empty() {
        match caller.only_namespace() {
            Some(own) => own.clone_into(&mut namespace),
            None => return refuse("namespace", "say which one: the caller sees all of them"),
        }
    }
    let texts = [("namespace", &namespace), ("function", &function), ("per", &per)];
    for (field, text) in texts {
        if text.len() > NAME_BYTES_MAX || text.contains('\0') {
            return refuse(field, "is longer than 256 bytes, or has a null character");
        }
    }
    if function.is_empty() {
        return refuse("function", "is missing");
    }
    if !is_pointer(&per) {
        let message = "is not a JSON pointer: one begins with / and has ~ only in ~0 and ~1, \
                       like /customer/id";
        return refuse("per", message);
    }
    Ok(LimitKey { namespace, function, per })
}

/// Whether it is a JSON pointer (RFC 6901); the empty one is one.
fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1);
    (text.is_empty() || text.starts_with('/'))
        && escapes.into_iter().all(|rest| rest.starts_with(['0', '1']))
}

fn row(key: LimitKey, limit: &Limit) -> Result<LimitRow, Error> {
    let Limit { concurrency, rate, burst, .. } = *limit;
    let refuse = |field: &str, message: &str| {
        Err(invalid("LIMIT_INVALID", format!("limit.{field}"), message))
    };
    if concurrency == 0 && rate == 0.0 {
        return refuse("concurrency", "is 0 and so is the rate: the limit would limit nothing");
    }
    if concurrency > MOST {
        return refuse("concurrency", "is more than 1000000");
    }
    if rate != 0.0 && !(RATE_MIN..=f64::from(MOST)).contains(&rate) {
        return refuse("rate", "is not between 0.001 and 1000000 in a second");
    }
    if burst > MOST {
        return refuse("burst", "is more than 1000000");
    }
    if burst != 0 && rate == 0.0 {
        return refuse("burst", "means nothing without a rate");
    }
    // Those of a second.
    let usual = (rate.ceil() as u32).max(1);
    let rate = (rate != 0.0)
        .then_some(Rate { per_second: rate, burst: if burst == 0 { usual } else { burst } });
    let concurrency = (concurrency != 0).then_some(concurrency);
    let (created_at_ms, changed_at_ms) = (now_ms(), now_ms());
    Ok(LimitRow { id: 0, key, concurrency, rate, created_at_ms, changed_at_ms })
}

fn message(row: &LimitRow) -> Limit {
    Limit {
        namespace: row.key.namespace.clone(),
        function: row.key.function.clone(),
        per: row.key.per.clone(),
        concurrency: row.concurrency.unwrap_or(0),
        rate: row.rate.map_or(0.0, |rate| rate.per_second),
        burst: row.rate.map_or(0, |rate| rate.burst),
        changed_at: Some(timestamp(row.changed_at_ms)),
    }
}

/// A limit with what all shards use of it.
fn state(row: &LimitRow, uses: &[UseRow]) -> LimitState {
    let mut total = UseMessage::default();
    let mut values: BTreeMap<&str, UseMessage> = BTreeMap::new();
    for used in uses.iter().filter(|used| used.of.limit == row.id) {
        let value = || UseMessage { value: used.of.value.to_string(), ..UseMessage::default() };
        add(&mut total, used);
        add(values.entry(&used.of.value).or_insert_with(value), used);
    }
    let mut uses: Vec<UseMessage> = values.into_values().collect();
    uses.sort_by_key(|used| std::cmp::Reverse((used.waiting, used.running)));
    uses.truncate(USES_SHOWN_MAX);
    LimitState { limit: Some(message(row)), total: Some(total), uses }
}

fn add(sum: &mut UseMessage, used: &UseRow) {
    sum.running += u64::from(used.running);
    sum.waiting += u64::from(used.waiting);
    sum.granted += u64::from(used.granted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_other_texts() {
        for good in ["", "/", "/a", "/a/0/b~1c~0"] {
            assert!(is_pointer(good), "{good}");
        }
        for bad in ["a", "customer/id", "$.a", "/a~", "/a~2", "~0"] {
            assert!(!is_pointer(bad), "{bad}");
        }
    }
}
