//! The overview: everything at a glance.

use std::sync::Arc;
use std::time::Duration;

use planaria_proto::monitoring::v1::{Overview, overview};
use planaria_proto::types::v1::Phase;
use planaria_runtime::clock;

use crate::config::Config;
use crate::convert;
use crate::error::Error;
use crate::findings::{Seen, findings};
use crate::healings::Healings;
use crate::health::{self, HealthWatch};
use crate::service_level::{ServiceLevel, Standing};
use crate::statistics::{Known, Statistics};
use crate::store::Recent;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Overviews {
    pub(crate) health: HealthWatch,
    pub(crate) statistics: Statistics,
    pub(crate) healings: Healings,
    pub(crate) service_level: ServiceLevel,
    pub(crate) config: Config,
}

impl Overviews {
    /// How everything is, with counts that are no older than `age_max`. Without the store it is
    /// told without what is kept there.
    pub(crate) async fn now(&self, age_max: Duration) -> Overview {
        let known = self.statistics.fresh(age_max).await;
        let now_ms = clock::now_ms();
        let kept = match self.kept(now_ms).await {
            Ok(kept) => Some(kept),
            Err(error) => {
                planaria_store::tell("cannot read the store", &error);
                None
            }
        };
        self.assemble(now_ms, &known, kept)
    }

    async fn kept(&self, now_ms: u64) -> Result<(Recent, Arc<Standing>), Error> {
        let since_ms = now_ms.saturating_sub(self.config.recent_window_ms);
        let recent = self.healings.recent(since_ms).await?;
        Ok((recent, self.service_level.now(now_ms).await?))
    }

    fn assemble(
        &self,
        now_ms: u64,
        known: &Known,
        kept: Option<(Recent, Arc<Standing>)>,
    ) -> Overview {
        let store_away = kept.is_none();
        let (recent, standing) = kept.unwrap_or_default();
        let services = self.health.found();
        let (statistics, told_at_ms) = known.statistics.clone().unzip();
        let age = Duration::from_millis(now_ms.saturating_sub(told_at_ms.unwrap_or(0)));
        let findings = findings(&Seen {
            now_ms,
            services: &services,
            statistics: statistics.as_deref().map(|statistics| (statistics, age)),
            database_away: known.database_away,
            store_away,
            breakers: &known.breakers,
            alarms: &standing.alarms,
            objective: self.service_level.objective(),
            dead_letters_open: known.dead_letters_open,
            healings_open: recent.open,
            statistics_age_max: Duration::from_millis(self.config.statistics_interval_ms * 2),
            queued_max: Duration::from_millis(self.config.queued_ms_max),
        });
        let counts = statistics.as_deref().cloned().unwrap_or_default();
        let over = [Phase::Completed, Phase::Cancelled, Phase::Faulted];
        let phases = counts.phases.iter().filter(|count| !over.contains(&count.phase()));
        Overview {
            at: Some(convert::timestamp(now_ms)),
            services: health::to_contract(&services),
            phases: phases
                .map(|count| overview::PhaseCount { phase: count.phase, count: count.count })
                .collect(),
            tasks_queued: counts.tasks_queued,
            tasks_running: counts.tasks_running,
            tasks_retrying: counts.tasks_retrying,
            workers_alive: counts.sessions,
            capacity: counts.capacity,
            workflows_started: counts.workflows_started,
            workflows_completed: counts.workflows_completed,
            workflows_faulted: counts.workflows_faulted,
            workflows_per_second: known.completed_per_second,
            success_ratio: known.success_ratio,
            dead_letters_open: known.dead_letters_open,
            healings_open: recent.open,
            healings_recent: recent.count,
            findings,
            detected_after_p50: percentile(&recent.detected_after_ms, 50).map(convert::span),
            detected_after_p99: percentile(&recent.detected_after_ms, 99).map(convert::span),
            healed_after_p50: percentile(&recent.healed_after_ms, 50).map(convert::span),
            healed_after_p99: percentile(&recent.healed_after_ms, 99).map(convert::span),
            objective: Some(self.service_level.to_contract(&standing)),
        }
    }
}

/// Nearest rank; nothing of nothing. The samples ascend.
fn percentile(samples: &[u64], percent: usize) -> Option<u64> {
    let rank = (samples.len() * percent).div_ceil(100);
    samples.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_occurred() {
        let samples: Vec<_> = (1..=200).collect();
        assert_eq!(percentile(&samples, 50), Some(100));
        assert_eq!(percentile(&samples, 99), Some(198));
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[1, 9], 50), Some(1));
        assert_eq!(percentile(&[], 50), None);
    }
}
