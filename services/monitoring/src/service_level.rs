//! The objective as it stands: looked up in the series now and then, once for all who ask.

use std::sync::Arc;
use std::time::Duration;

use planaria_proto::monitoring::v1::Objective;
use planaria_proto::monitoring::v1::objective::Burn;
use tokio::sync::Mutex;

use crate::config::ObjectiveConfig;
use crate::convert;
use crate::metric::Metric;
use crate::objective::{ALARMS, Alarm, Ended};
use crate::store::{MonitoringStore, Resolution, Stretch};

/// What is known is looked up again after this.
const AGE_MS_MAX: u64 = 5_000;

/// How it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Standing {
    /// In the objective's window.
    pub(crate) ended: Ended,
    /// In the windows of the alarms: milliseconds, ascending.
    pub(crate) recent: Vec<(u64, Ended)>,
    /// The alarms that sound, the fastest first, and what ended in their long window.
    pub(crate) alarms: Vec<(Alarm, Ended)>,
}

/// When it was looked up (Unix milliseconds), and what was found.
type Found = (u64, Arc<Standing>);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct ServiceLevel {
    store: Arc<dyn MonitoringStore>,
    config: ObjectiveConfig,
    found: Arc<Mutex<Option<Found>>>,
}

impl ServiceLevel {
    pub(crate) fn new(store: Arc<dyn MonitoringStore>, config: ObjectiveConfig) -> Self {
        Self { store, config, found: Arc::default() }
    }

    /// The part that must complete, 0 to 1.
    pub(crate) fn objective(&self) -> f64 {
        (self.config.success_percent / 100.0).clamp(0.0, 1.0)
    }

    pub(crate) async fn now(&self, now_ms: u64) -> Result<Arc<Standing>, sqlx::Error> {
        let mut found = self.found.lock().await;
        if let Some((at_ms, standing)) = &*found
            && now_ms.saturating_sub(*at_ms) <= AGE_MS_MAX
        {
            return Ok(Arc::clone(standing));
        }
        let standing = Arc::new(self.look_up(now_ms).await?);
        *found = Some((now_ms, Arc::clone(&standing)));
        Ok(standing)
    }

    async fn look_up(&self, now_ms: u64) -> Result<Standing, sqlx::Error> {
        let window = Duration::from_secs(self.config.window_days.max(1).saturating_mul(86_400));
        let ended = self.ended(now_ms, window, Resolution::Hours).await?;
        let mut windows_ms: Vec<_> =
            ALARMS.iter().flat_map(|alarm| [alarm.short_ms, alarm.long_ms]).collect();
        windows_ms.sort_unstable();
        let mut recent = Vec::new();
        for window_ms in windows_ms {
            let window = Duration::from_millis(window_ms);
            let ended = self.ended(now_ms, window, Resolution::Minutes).await?;
            recent.push((window_ms, ended));
        }
        Ok(Standing { ended, alarms: self.alarms(&recent), recent })
    }

    fn alarms(&self, recent: &[(u64, Ended)]) -> Vec<(Alarm, Ended)> {
        let of = |window_ms: u64| {
            let found = recent.iter().find(|(known_ms, _)| *known_ms == window_ms);
            found.map(|(_, ended)| *ended).unwrap_or_default()
        };
        let sounding = |alarm: Alarm| {
            let (long, short) = (of(alarm.long_ms), of(alarm.short_ms));
            let sounds = alarm.sounds(long, short, self.objective(), self.config.ended_min);
            sounds.then_some((alarm, long))
        };
        ALARMS.into_iter().filter_map(sounding).collect()
    }

    async fn ended(
        &self,
        now_ms: u64,
        window: Duration,
        resolution: Resolution,
    ) -> Result<Ended, sqlx::Error> {
        let now_s = now_ms / 1_000;
        let begins_s = now_s.saturating_sub(window.as_secs())..now_s + 1;
        let stretch = Stretch { resolution, begins_s, namespace: String::new() };
        let sum = async |metric| {
            let values = self.store.values(metric, &stretch).await?;
            Ok::<_, sqlx::Error>(values.into_iter().map(|(_, value)| value).sum())
        };
        Ok(Ended {
            completed: sum(Metric::WorkflowsCompleted).await?,
            faulted: sum(Metric::WorkflowsFaulted).await?,
        })
    }

    /// As the contract has it.
    pub(crate) fn to_contract(&self, standing: &Standing) -> Objective {
        let objective = self.objective();
        let days_ms = self.config.window_days.max(1).saturating_mul(86_400_000);
        let burn = |(window_ms, ended): &(u64, Ended)| Burn {
            window: Some(convert::span(*window_ms)),
            rate: ended.burn_rate(objective),
        };
        Objective {
            objective,
            window: Some(convert::span(days_ms)),
            completed: standing.ended.completed,
            faulted: standing.ended.faulted,
            success_ratio: standing.ended.success(),
            budget_left: standing.ended.budget_left(objective),
            burns: standing.recent.iter().map(burn).collect(),
        }
    }
}
