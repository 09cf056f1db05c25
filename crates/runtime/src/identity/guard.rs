//! The door of every service: who has no identity gets no answer but health.

use std::sync::Arc;

use http::{Extensions, HeaderMap};

use super::{HEADER, Identity, Refused, Secret};
use crate::clock::now_ms;
use crate::metrics::{Counter, Family, Labels, Metrics};

/// What answers without an identity: probes have none.
const OPEN: &str = "/grpc.health.v1.Health/";

/// Verifies callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    service: &'static str,
    secret: Secret,
    refused: Arc<Family<Labels, Counter>>,
}

impl Guard {
    pub(crate) fn new(service: &'static str, secret: Secret, metrics: &Metrics) -> Self {
        let refused = metrics.counters(
            "identity_refusals",
            "Calls that were not let in for want of an identity or a right, by reason",
        );
        Self { service, secret, refused: Arc::new(refused) }
    }

    /// Lets a call in and attaches its caller, or says why not.
    pub(crate) fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> Result<(), Refused> {
        if path.starts_with(OPEN) {
            return Ok(());
        }
        let identity = self.identify(headers);
        let admitted = identity.as_ref().map_err(Clone::clone).and_then(|who| who.admit(path));
        if let Err(refused) = &admitted {
            self.note(path, identity.as_ref().ok(), refused);
        }
        admitted?;
        extensions.insert(identity?);
        Ok(())
    }

    fn identify(&self, headers: &HeaderMap) -> Result<Identity, Refused> {
        let mut said = headers.get_all(HEADER).iter();
        let header = said.next().ok_or(Refused::Missing)?;
        if said.next().is_some() {
            return Err(Refused::Invalid);
        }
        Identity::decode(header, &self.secret, now_ms(), self.secret.skew_ms_max())
    }

    fn note(&self, path: &str, identity: Option<&Identity>, refused: &Refused) {
        let reason = refused.reason();
        self.refused.get_or_create(&vec![("reason", reason.to_owned())]).inc();
        let key_id = match (identity, refused) {
            (Some(identity), _) => &*identity.key_id,
            (None, Refused::Expired { key_id }) => key_id,
            _ => "",
        };
        tracing::warn!(service = self.service, path, key_id, reason, "call refused");
    }
}
