//! What was counted over time, in the steps that somebody asks for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use planaria_proto::monitoring::v1 as contract;
use planaria_proto::monitoring::v1::get_distribution_response::Bucket;
use planaria_proto::monitoring::v1::series::Point;

use crate::convert;
use crate::error::Error;
use crate::histogram::Histogram;
use crate::metric::{Metric, Spread};
use crate::objective::Ended;
use crate::store::{MonitoringStore, Resolution, Stretch};

/// Window when the caller does not say.
const WINDOW_S_DEFAULT: u64 = 3_600;
const STEPS_MAX: u64 = 2_000;

/// How the points of a series come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recipe {
    /// A value for each step; divided by this.
    Value(Metric, u32),
    SuccessRatio,
    /// Seconds; per thousand.
    Quantile(Spread, u64),
}

fn recipe(metric: contract::Metric) -> Option<Recipe> {
    use contract::Metric as Asked;
    Some(match metric {
        Asked::Unspecified => return None,
        Asked::WorkflowsStarted => Recipe::Value(Metric::WorkflowsStarted, 1),
        Asked::WorkflowsCompleted => Recipe::Value(Metric::WorkflowsCompleted, 1),
        Asked::WorkflowsFaulted => Recipe::Value(Metric::WorkflowsFaulted, 1),
        Asked::WorkflowsCancelled => Recipe::Value(Metric::WorkflowsCancelled, 1),
        Asked::TasksCompleted => Recipe::Value(Metric::TasksCompleted, 1),
        Asked::AttemptsFailed => Recipe::Value(Metric::AttemptsFailed, 1),
        Asked::AttemptsLost => Recipe::Value(Metric::AttemptsLost, 1),
        Asked::Retries => Recipe::Value(Metric::Retries, 1),
        Asked::Healings => Recipe::Value(Metric::Healings, 1),
        Asked::SuccessRatio => Recipe::SuccessRatio,
        Asked::TasksQueued => Recipe::Value(Metric::TasksQueued, 1),
        Asked::TasksRunning => Recipe::Value(Metric::TasksRunning, 1),
        Asked::TasksRetrying => Recipe::Value(Metric::TasksRetrying, 1),
        Asked::Workers => Recipe::Value(Metric::Workers, 1),
        Asked::OldestQueued => Recipe::Value(Metric::OldestQueuedMs, 1_000),
        Asked::WorkflowLatencyP50 => Recipe::Quantile(Spread::WorkflowLatency, 500),
        Asked::WorkflowLatencyP99 => Recipe::Quantile(Spread::WorkflowLatency, 990),
        Asked::DetectedAfterP50 => Recipe::Quantile(Spread::DetectedAfter, 500),
        Asked::DetectedAfterP99 => Recipe::Quantile(Spread::DetectedAfter, 990),
        Asked::HealedAfterP50 => Recipe::Quantile(Spread::HealedAfter, 500),
        Asked::HealedAfterP99 => Recipe::Quantile(Spread::HealedAfter, 990),
    })
}

/// Which steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    begins_s: Range<u64>,
    step_s: u64,
}

impl Window {
    /// The last step is the one under way at `until_s`.
    pub(crate) fn new(
        window_s: Option<u64>,
        step_s: Option<u64>,
        until_s: u64,
    ) -> Result<Self, Error> {
        let step_s = step_s.unwrap_or(60);
        if step_s == 0 || !step_s.is_multiple_of(60) {
            return Err(Error::WindowInvalid("a step is whole minutes, or whole hours".into()));
        }
        let steps = window_s.unwrap_or(WINDOW_S_DEFAULT).div_ceil(step_s).max(1);
        if steps > STEPS_MAX {
            let text = format!("{steps} steps are more than {STEPS_MAX}; make the step longer");
            return Err(Error::WindowInvalid(text));
        }
        let end_s = (until_s / step_s).saturating_add(1).saturating_mul(step_s);
        Ok(Self { begins_s: end_s.saturating_sub(steps * step_s)..end_s, step_s })
    }

    const fn resolution(&self) -> Resolution {
        if self.step_s.is_multiple_of(Resolution::Hours.step_s()) {
            Resolution::Hours
        } else {
            Resolution::Minutes
        }
    }

    fn stretch(&self, namespace: &str) -> Stretch {
        let resolution = self.resolution();
        Stretch { resolution, begins_s: self.begins_s.clone(), namespace: namespace.to_owned() }
    }

    /// The beginning of the step that a time is in.
    const fn step_of(&self, at_s: u64) -> u64 {
        let since_s = at_s.saturating_sub(self.begins_s.start);
        self.begins_s.start + since_s / self.step_s * self.step_s
    }

    fn steps(&self) -> impl Iterator<Item = u64> {
        // At least a minute, as was checked.
        let step = usize::try_from(self.step_s).unwrap_or(usize::MAX);
        self.begins_s.clone().step_by(step)
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct SeriesReader {
    store: Arc<dyn MonitoringStore>,
}

impl SeriesReader {
    pub(crate) fn new(store: Arc<dyn MonitoringStore>) -> Self {
        Self { store }
    }

    pub(crate) async fn series(
        &self,
        metric: contract::Metric,
        window: &Window,
        namespace: &str,
    ) -> Result<contract::Series, Error> {
        let unknown = || Error::MetricInvalid("say which series, such as tasks_queued".into());
        let points = match recipe(metric).ok_or_else(unknown)? {
            Recipe::Value(kept, divisor) => {
                let values = self.values(kept, window, namespace).await?;
                let value = |step_s| values.get(&step_s).copied().unwrap_or(0);
                window
                    .steps()
                    .map(|step_s| (step_s, float(value(step_s)) / f64::from(divisor)))
                    .collect()
            }
            Recipe::SuccessRatio => {
                let completed = self.values(Metric::WorkflowsCompleted, window, namespace).await?;
                let faulted = self.values(Metric::WorkflowsFaulted, window, namespace).await?;
                success(window, &completed, &faulted)
            }
            Recipe::Quantile(spread, per_mille) => {
                let spreads = self.spreads(spread, window, namespace).await?;
                let point = |(step_s, spread): (&u64, &Histogram)| {
                    Some((*step_s, float(spread.quantile(per_mille)?) / 1_000.0))
                };
                spreads.iter().filter_map(point).collect::<Vec<_>>()
            }
        };
        let point = |(step_s, value): (u64, f64)| Point {
            at: Some(convert::timestamp(step_s * 1_000)),
            value,
        };
        let points = points.into_iter().map(point).collect();
        Ok(contract::Series { metric: metric.into(), points })
    }

    pub(crate) async fn distribution(
        &self,
        spread: contract::Spread,
        window: &Window,
        namespace: &str,
    ) -> Result<contract::GetDistributionResponse, Error> {
        let kept = match spread {
            contract::Spread::Unspecified => {
                let text = "say which distribution, such as healed_after";
                return Err(Error::MetricInvalid(text.into()));
            }
            contract::Spread::WorkflowLatency => Spread::WorkflowLatency,
            contract::Spread::DetectedAfter => Spread::DetectedAfter,
            contract::Spread::HealedAfter => Spread::HealedAfter,
        };
        let mut all = Histogram::default();
        for spread in self.spreads(kept, window, namespace).await?.values() {
            all.merge(spread);
        }
        let span = |per_mille| all.quantile(per_mille).map(convert::span);
        let bucket = |(until_ms, count)| Bucket { until: Some(convert::span(until_ms)), count };
        Ok(contract::GetDistributionResponse {
            buckets: all.buckets().map(bucket).collect(),
            count: all.count(),
            p50: span(500),
            p90: span(900),
            p99: span(990),
            max: span(1_000),
        })
    }

    async fn values(
        &self,
        metric: Metric,
        window: &Window,
        namespace: &str,
    ) -> Result<BTreeMap<u64, u64>, Error> {
        let mut steps = BTreeMap::new();
        for (at_s, value) in self.store.values(metric, &window.stretch(namespace)).await? {
            let known = steps.entry(window.step_of(at_s)).or_default();
            *known = metric.join(*known, value);
        }
        Ok(steps)
    }

    async fn spreads(
        &self,
        spread: Spread,
        window: &Window,
        namespace: &str,
    ) -> Result<BTreeMap<u64, Histogram>, Error> {
        let mut steps: BTreeMap<u64, Histogram> = BTreeMap::new();
        for (at_s, spread) in self.store.spreads(spread, &window.stretch(namespace)).await? {
            steps.entry(window.step_of(at_s)).or_default().merge(&spread);
        }
        Ok(steps)
    }
}

/// Steps in which nothing ended have no ratio.
fn success(
    window: &Window,
    completed: &BTreeMap<u64, u64>,
    faulted: &BTreeMap<u64, u64>,
) -> Vec<(u64, f64)> {
    let of = |values: &BTreeMap<u64, u64>, step_s| values.get(&step_s).copied().unwrap_or(0);
    let ratio = |step_s| {
        let ended = Ended { completed: of(completed, step_s), faulted: of(faulted, step_s) };
        (ended.all() > 0).then(|| (step_s, ended.success()))
    };
    window.steps().filter_map(ratio).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a value for people")]
const fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_steps_up_to_the_one_under_way() {
        let window = Window::new(Some(300), None, 1_000).unwrap();
        assert_eq!((window.begins_s.clone(), window.step_s), (720..1_020, 60));
        assert_eq!(window.steps().collect::<Vec<_>>(), [720, 780, 840, 900, 960]);
        assert_eq!((window.step_of(720), window.step_of(1_019)), (720, 960));
        assert_eq!(window.resolution(), Resolution::Minutes);
        let hours = Window::new(Some(7_300), Some(3_600), 100_000).unwrap();
        assert_eq!(hours.steps().count(), 3);
        assert_eq!(hours.resolution(), Resolution::Hours);
        assert_eq!(Window::new(None, None, 0).unwrap().begins_s, 0..60);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (window_s, step_s) in [(60, 0), (60, 90), (60, 1), (86_400 * 30, 60)] {
            assert!(Window::new(Some(window_s), Some(step_s), 0).is_err(), "{window_s} {step_s}");
        }
    }

    #[test]
    fn every_metric_of_the_contract_has_a_recipe() {
        let all = (1..=64).filter_map(|number| contract::Metric::try_from(number).ok());
        assert!(all.clone().all(|metric| recipe(metric).is_some()));
        assert_eq!(all.count(), 21);
    }
}
