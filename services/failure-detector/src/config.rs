//! The settings of the failure detector: section `failure-detector`.

use planaria_kernel::liveness::Policy;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The workers' heartbeat interval.
    pub heartbeat_interval_ms: u64,
    /// Intervals remembered per worker.
    pub window_beats: usize,
    /// The least standard deviation that phi reckons with.
    pub sigma_ms_min: u64,
    /// A pause of this length is nothing unusual.
    pub pause_ms: u64,
    /// From here on a worker is suspect.
    pub phi_suspect: f64,
    /// From here on it is dead.
    pub phi_dead: f64,
    /// After its stream was reset, a worker may resume within this.
    pub resume_ms: u64,
    /// The same, while the streams of many workers were reset at once.
    pub resume_mass_ms: u64,
    /// After the loss of a gateway's connection, silence means nothing for this long.
    pub hop_grace_ms: u64,
    /// A loop of the detector that is later than this makes it more patient.
    pub lag_ms_max: u64,
    /// A loop of the detector that is later than this makes it look on for a while.
    pub stall_ms: u64,
    /// Nothing is pronounced for this long after a stall; after a start, nothing on workers whose
    /// first heartbeat another detector heard.
    pub observe_only_ms: u64,
    /// More than this part of the workers silent at once: nothing is pronounced for silence.
    pub mass_percent: u64,
    /// But not with fewer silent workers than this.
    pub mass_workers_min: u64,
    /// And for this long; longer than a session's lease.
    pub hold_ms: u64,
    /// Dead and departed workers are listed for this long.
    pub ended_keep_ms: u64,
    /// Workers watched and listed.
    pub workers_max: usize,
    /// Attempts in one heartbeat.
    pub attempts_max: usize,
    /// One attempt's checkpoint.
    pub checkpoint_bytes_max: usize,
    /// One heartbeat message.
    pub heartbeat_bytes_max: usize,
    /// The heartbeats of one stream are merged to at most one per this time.
    pub beat_spacing_ms: u64,
    /// Heartbeats are passed on to the orchestrators this often, all in one call.
    pub observe_interval_ms: u64,
    /// Size of one such call; what is more follows in the next.
    pub observe_bytes_max: usize,
    /// Deadline of a call to an orchestrator.
    pub call_ms_max: u64,
    /// A call that failed is tried again after this, doubling ...
    pub backoff_ms: u64,
    /// ... up to this.
    pub backoff_ms_max: u64,
    /// Verdicts that no orchestrator has accepted yet; the oldest is left to the lease.
    pub verdicts_max: usize,
    /// Streams that follow the workers.
    pub watchers_max: usize,
    /// A follower is told of growing suspicion this often, of anything else at once.
    pub watch_interval_ms: u64,
    /// Events that wait for the detector's loop.
    pub events_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            heartbeat_interval_ms: policy.beat_ms,
            window_beats: policy.window,
            sigma_ms_min: policy.sigma_ms_min,
            pause_ms: policy.pause_ms,
            phi_suspect: policy.phi_suspect,
            phi_dead: policy.phi_dead,
            resume_ms: policy.resume_ms,
            resume_mass_ms: policy.resume_ms_mass,
            hop_grace_ms: policy.hop_grace_ms,
            lag_ms_max: policy.lag_ms_max,
            stall_ms: policy.stall_ms,
            observe_only_ms: policy.observe_ms,
            mass_percent: policy.mass_percent,
            mass_workers_min: policy.mass_workers_min,
            hold_ms: policy.hold_ms,
            ended_keep_ms: policy.ended_keep_ms,
            workers_max: policy.workers_max,
            attempts_max: 10_000,
            checkpoint_bytes_max: 64 * 1024,
            heartbeat_bytes_max: 8 * 1024 * 1024,
            beat_spacing_ms: 50,
            observe_interval_ms: 500,
            observe_bytes_max: 2 * 1024 * 1024,
            call_ms_max: 1_000,
            backoff_ms: 50,
            backoff_ms_max: 1_000,
            verdicts_max: 10_000,
            watchers_max: 1_000,
            watch_interval_ms: 500,
            events_max: 4_096,
        }
    }
}

impl Config {
    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// [`Error::Settings`] names the key.
    pub fn validate(&self) -> Result<(), Error> {
        let positive = [
            ("heartbeat_interval_ms", self.heartbeat_interval_ms),
            ("sigma_ms_min", self.sigma_ms_min),
            ("observe_interval_ms", self.observe_interval_ms),
            ("call_ms_max", self.call_ms_max),
            ("backoff_ms", self.backoff_ms),
            ("watch_interval_ms", self.watch_interval_ms),
            ("lag_ms_max", self.lag_ms_max),
            ("window_beats", self.window_beats as u64),
            ("workers_max", self.workers_max as u64),
            ("observe_bytes_max", self.observe_bytes_max as u64),
            ("verdicts_max", self.verdicts_max as u64),
            ("events_max", self.events_max as u64),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::Settings(format!("{key} must be at least 1")));
        }
        // Beyond 300 the formula leaves double precision.
        let ordered = 0.0 < self.phi_suspect && self.phi_suspect < self.phi_dead;
        if !ordered || self.phi_dead > 300.0 {
            let text = "phi_suspect must be above 0 and below phi_dead, which is at most 300";
            return Err(Error::Settings(text.into()));
        }
        Ok(())
    }

    pub(crate) fn policy(&self) -> Policy {
        let defaults = Policy::default();
        Policy {
            beat_ms: self.heartbeat_interval_ms,
            window: self.window_beats,
            sigma_ms_min: self.sigma_ms_min,
            pause_ms: self.pause_ms,
            phi_suspect: self.phi_suspect,
            phi_dead: self.phi_dead,
            resume_ms: self.resume_ms,
            resume_ms_mass: self.resume_mass_ms,
            hop_grace_ms: self.hop_grace_ms,
            lag_ms_max: self.lag_ms_max,
            pause_factor_max: defaults.pause_factor_max,
            stall_ms: self.stall_ms,
            observe_ms: self.observe_only_ms,
            mass_window_ms: defaults.mass_window_ms,
            mass_percent: self.mass_percent,
            mass_workers_min: self.mass_workers_min,
            hold_ms: self.hold_ms,
            ended_keep_ms: self.ended_keep_ms,
            workers_max: self.workers_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_are_the_kernels() {
        assert!(Config::default().validate().is_ok());
        assert_eq!(Config::default().policy(), Policy::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let refused = |config: Config| config.validate().unwrap_err().to_string();
        let text = refused(Config { workers_max: 0, ..Config::default() });
        assert!(text.contains("workers_max"), "{text}");
        let text = refused(Config { phi_dead: 2.0, ..Config::default() });
        assert!(text.contains("phi_dead"), "{text}");
    }
}
