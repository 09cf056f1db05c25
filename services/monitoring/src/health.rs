//! The health of every replica that the directory knows, and since when it is so.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use planaria_proto::monitoring::v1::{ServiceHealth, service_health};
use planaria_runtime::{Directory, Replica, clock};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::convert;
use crate::gauges::Gauges;

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) serving: bool,
    /// Why not.
    pub(crate) detail: String,
    /// Since when (Unix milliseconds) it serves, or does not.
    pub(crate) since_ms: u64,
}

/// By service, in the order of the settings, then by address.
pub(crate) type Conditions = Vec<(String, BTreeMap<String, Condition>)>;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HealthWatch {
    directory: Directory,
    services: Arc<[String]>,
    deadline: Duration,
    gauges: Gauges,
    found: Arc<RwLock<Conditions>>,
}

impl HealthWatch {
    pub(crate) fn new(
        directory: Directory,
        services: &[String],
        deadline: Duration,
        gauges: Gauges,
    ) -> Self {
        Self { directory, services: services.into(), deadline, gauges, found: Arc::default() }
    }

    pub(crate) async fn run(self, every: Duration, stop: CancellationToken) {
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.check_all().await,
            }
        }
    }

    /// What the last checks found.
    pub(crate) fn found(&self) -> Conditions {
        self.found.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn check_all(&self) {
        let services = self.services.iter().map(|service| self.check_service(service));
        let checked: Vec<_> = join_all(services).await;
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *found);
        for (service, replicas) in checked {
            let known = before.iter().find(|(name, _)| *name == service).map(|(_, known)| known);
            let merged = self.merge(&service, known, replicas);
            if !merged.is_empty() {
                found.push((service, merged));
            }
        }
    }

    async fn check_service(&self, service: &str) -> (String, Vec<(String, Result<(), String>)>) {
        let replicas = self.directory.replicas(service).await;
        let checks = replicas.into_iter().map(|replica| async {
            let address = replica.uri.trim_start_matches("http://").to_owned();
            (address, self.check(replica).await)
        });
        (service.to_owned(), join_all(checks).await)
    }

    async fn check(&self, replica: Replica) -> Result<(), String> {
        let mut client = HealthClient::new(replica.channel);
        let answer = timeout(self.deadline, client.check(HealthCheckRequest::default())).await;
        match answer {
            Err(_) => Err("does not answer in time".into()),
            Ok(Err(_)) => Err("does not answer".into()),
            Ok(Ok(answer)) => match answer.into_inner().status() {
                ServingStatus::Serving => Ok(()),
                _ => Err("is not ready (/readyz of its admin port says why)".into()),
            },
        }
    }

    /// A condition lasts for as long as it does not turn; only its reason may change.
    fn merge(
        &self,
        service: &str,
        known: Option<&BTreeMap<String, Condition>>,
        checked: Vec<(String, Result<(), String>)>,
    ) -> BTreeMap<String, Condition> {
        let now_ms = clock::now_ms();
        let mut merged = BTreeMap::new();
        for (address, result) in checked {
            let before = known.and_then(|known| known.get(&address));
            let (serving, detail) = result.map_or_else(|why| (false, why), |()| (true, "".into()));
            let turned = before.is_none_or(|before| before.serving != serving);
            if turned {
                tracing::info!(name = service, address, serving, detail, "service health");
            }
            self.gauges.serving(service, &address, serving);
            let since_ms = if turned { now_ms } else { before.map_or(now_ms, |it| it.since_ms) };
            merged.insert(address, Condition { serving, detail, since_ms });
        }
        let addresses = known.into_iter().flat_map(BTreeMap::keys);
        for address in addresses.filter(|address| !merged.contains_key(*address)) {
            self.gauges.gone(service, address);
        }
        merged
    }
}

/// As the contract has it.
pub(crate) fn to_contract(conditions: &Conditions) -> Vec<ServiceHealth> {
    let replica = |(address, condition): (&String, &Condition)| service_health::Replica {
        address: address.clone(),
        serving: condition.serving,
        detail: condition.detail.clone(),
        since: Some(convert::timestamp(condition.since_ms)),
    };
    let service = |(name, replicas): &(String, BTreeMap<String, Condition>)| ServiceHealth {
        name: name.clone(),
        replicas: replicas.iter().map(replica).collect(),
    };
    conditions.iter().map(service).collect()
}
