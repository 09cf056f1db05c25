//! `AccessService`: convert, call, convert.

use std::sync::Arc;

use planaria_proto::gateway::v1::access_service_server::AccessService;
use planaria_proto::gateway::v1::{
    ApiKey as WireKey, CreateApiKeyRequest, CreateApiKeyResponse, ListApiKeysRequest,
    ListApiKeysResponse, RevokeApiKeyRequest, RevokeApiKeyResponse, Role as WireRole,
};
use planaria_runtime::clock::now_ms;
use planaria_runtime::identity::{ALL_NAMESPACES, Refused, is_name};
use planaria_runtime::{Identity, Role};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::Ring;
use super::error::Error;
use super::key::{self, ApiKey};
use crate::Config;

const LABEL_BYTES_MAX: usize = 128;
const PAGE_SIZE: u32 = 100;
const PAGE_SIZE_MAX: u32 = 500;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Served by the gateway itself.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    ring: Arc<Ring>,
    keys_max: u32,
    life_days: u32,
    life_days_max: u32,
}

impl Api {
    pub(crate) fn new(ring: Arc<Ring>, config: &Config) -> Self {
        let Config { keys_max, key_life_days, key_life_days_max, .. } = config;
        let (life_days, life_days_max) = (*key_life_days, *key_life_days_max);
        Self { ring, keys_max: *keys_max, life_days, life_days_max }
    }

    async fn create(
        &self,
        caller: &Identity,
        request: CreateApiKeyRequest,
    ) -> Result<CreateApiKeyResponse, Error> {
        let now_ms = now_ms();
        let (id, secret) = key::generate();
        let key = ApiKey {
            hash: key::hash(&secret),
            label: label(&request.label)?,
            namespace: namespace(caller, &request.namespace)?,
            role: role(request.role())?,
            created_at_ms: now_ms,
            created_by: caller.key_id.to_string(),
            expires_at_ms: self.expiry(request.expires_at.as_ref(), now_ms)?,
            revoked_at_ms: None,
            requests_per_second: request.requests_per_second,
            requests_burst: request.requests_burst,
            id,
        };
        if !self.ring.store.create(&key, self.keys_max, now_ms).await? {
            return Err(Error::TooMany { max: self.keys_max });
        }
        tracing::info!(key_id = key.id, by = key.created_by, "API key made");
        // It is good at this gateway at once; should that fail, with the next look at the store.
        let _later = self.ring.refresh().await;
        Ok(CreateApiKeyResponse { key: Some(wire(key)), secret })
    }

    fn expiry(&self, wanted: Option<&Timestamp>, now_ms: u64) -> Result<u64, Error> {
        let after = |days: u32| now_ms.saturating_add(u64::from(days).saturating_mul(DAY_MS));
        let Some(wanted) = wanted else {
            return Ok(after(self.life_days.min(self.life_days_max)));
        };
        let unfit = |why: String| Error::Unfit { field: "expires_at", why };
        let wanted_ms = milliseconds(wanted).ok_or_else(|| unfit("it is no time".into()))?;
        if wanted_ms <= now_ms {
            return Err(unfit("it is in the past".into()));
        }
        if wanted_ms > after(self.life_days_max) {
            return Err(unfit(format!("at most {} days from now", self.life_days_max)));
        }
        Ok(wanted_ms)
    }

    async fn list(
        &self,
        caller: &Identity,
        request: ListApiKeysRequest,
    ) -> Result<ListApiKeysResponse, Error> {
        let after = request.page_token;
        if !after.is_empty() && !is_name(&after) {
            return Err(Error::PageTokenInvalid);
        }
        let size = if request.page_size == 0 { PAGE_SIZE } else { request.page_size };
        let size = size.min(PAGE_SIZE_MAX);
        let good_at_ms = (!request.all).then(now_ms);
        let namespace = caller.only_namespace();
        let mut keys = self.ring.store.list(namespace, good_at_ms, &after, size + 1).await?;
        let more = keys.len() > size as usize;
        keys.truncate(size as usize);
        let last = keys.last().filter(|_| more);
        let next_page_token = last.map(|key| key.id.clone()).unwrap_or_default();
        Ok(ListApiKeysResponse { keys: keys.into_iter().map(wire).collect(), next_page_token })
    }

    async fn revoke(&self, caller: &Identity, id: String) -> Result<RevokeApiKeyResponse, Error> {
        let revoked = self.ring.store.revoke(&id, caller.only_namespace(), now_ms()).await?;
        let key = revoked.ok_or(Error::NotFound(id))?;
        tracing::info!(key_id = key.id, by = &*caller.key_id, "API key revoked");
        // It ends at this gateway at once; should that fail, with the next look at the store.
        let _later = self.ring.refresh().await;
        Ok(RevokeApiKeyResponse { key: Some(wire(key)) })
    }
}

#[tonic::async_trait]
impl AccessService for Api {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let caller = Identity::of(&request)?;
        Ok(Response::new(self.create(&caller, request.into_inner()).await?))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let caller = Identity::of(&request)?;
        Ok(Response::new(self.list(&caller, request.into_inner()).await?))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        let caller = Identity::of(&request)?;
        Ok(Response::new(self.revoke(&caller, request.into_inner().id).await?))
    }
}

fn label(label: &str) -> Result<String, Error> {
    if label.len() <= LABEL_BYTES_MAX && !label.contains(char::is_control) {
        return Ok(label.to_owned());
    }
    let why = format!("at most {LABEL_BYTES_MAX} bytes, none of them control");
    Err(Error::Unfit { field: "label", why })
}

/// A caller of one namespace makes keys for that one alone.
fn namespace(caller: &Identity, wanted: &str) -> Result<String, Error> {
    if wanted.is_empty() {
        return Ok(caller.namespace.to_string());
    }
    if wanted != ALL_NAMESPACES && !is_name(wanted) {
        let why = "not a namespace such as shop, and not `*`".into();
        return Err(Error::Unfit { field: "namespace", why });
    }
    if caller.sees(wanted) {
        return Ok(wanted.to_owned());
    }
    Err(Error::Refused(Refused::Namespace))
}

fn role(role: WireRole) -> Result<Role, Error> {
    Ok(match role {
        WireRole::Reader => Role::Reader,
        WireRole::Operator => Role::Operator,
        WireRole::Worker => Role::Worker,
        WireRole::Admin => Role::Admin,
        WireRole::Unspecified => {
            return Err(Error::Unfit { field: "role", why: "it must be named".into() });
        }
    })
}

fn wire(key: ApiKey) -> WireKey {
    let role = match key.role {
        Role::Reader => WireRole::Reader,
        Role::Operator => WireRole::Operator,
        Role::Worker => WireRole::Worker,
        Role::Admin => WireRole::Admin,
        // No key has it.
        Role::Service => WireRole::Unspecified,
    };
    WireKey {
        id: key.id,
        label: key.label,
        namespace: key.namespace,
        role: role.into(),
        created_at: Some(timestamp(key.created_at_ms)),
        created_by: key.created_by,
        expires_at: Some(timestamp(key.expires_at_ms)),
        revoked_at: key.revoked_at_ms.map(timestamp),
        requests_per_second: key.requests_per_second,
        requests_burst: key.requests_burst,
    }
}

fn timestamp(ms: u64) -> Timestamp {
    // Below 10^9 by the remainder.
    let nanos = i32::try_from(ms % 1_000 * 1_000_000).unwrap_or(0);
    Timestamp { seconds: i64::try_from(ms / 1_000).unwrap_or(i64::MAX), nanos }
}

fn milliseconds(timestamp: &Timestamp) -> Option<u64> {
    let (seconds, nanos) = (u64::try_from(timestamp.seconds), u64::try_from(timestamp.nanos));
    seconds.ok()?.checked_mul(1_000)?.checked_add(nanos.ok()? / 1_000_000)
}
