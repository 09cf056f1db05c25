//! The constants of detection, with where they come from.

/// How fast, and how carefully, the detector judges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The expected heartbeat interval; the first estimate of a session's mean.
    pub beat_ms: u64,
    /// How many intervals are remembered (Pekko's remote watch: 200).
    pub window: usize,
    /// The least standard deviation, for workers that beat like clockwork (Pekko: 100 ms; with
    /// 50 ms and no pause, 32 busy processes on 2 cores caused false deaths).
    pub sigma_ms_min: u64,
    /// Added to the mean: a pause of this length is nothing unusual (Pekko's cluster: 3 s, here
    /// 1 s: under that load the longest interval was 808 ms).
    pub pause_ms: u64,
    /// From here on a session is suspect.
    pub phi_suspect: f64,
    /// From here on it is dead (Pekko's cluster: 8).
    pub phi_dead: f64,
    /// After evidence that a worker went, it may still resume within this.
    pub resume_ms: u64,
    /// The same, while the streams of many workers were reset at once.
    pub resume_ms_mass: u64,
    /// After the loss of a gateway's connection, silence means nothing for this long.
    pub hop_grace_ms: u64,
    /// A loop of our own that is later than this is unwell.
    pub lag_ms_max: u64,
    /// How often the pause may be added while the own loop is unwell (memberlist's Lifeguard: 8).
    pub pause_factor_max: u64,
    /// A loop of our own that is later than this was stopped; nothing it believes is fresh.
    pub stall_ms: u64,
    /// After a start or a stall, only look on for this long.
    pub observe_ms: u64,
    /// Workers that fall silent within this time did so at once.
    pub mass_window_ms: u64,
    /// More than this part of all workers at once, in percent: the fault is ours.
    pub mass_percent: u64,
    /// But not with fewer workers than this.
    pub mass_workers_min: u64,
    /// Then silence is judged again only after this: the leases (9 s) decide meanwhile.
    pub hold_ms: u64,
    /// Dead and departed workers are listed for this long.
    pub ended_keep_ms: u64,
    /// Workers watched and listed, all together.
    pub workers_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Policy {
    /// What holds unless it is set.
    pub const DEFAULT: Self = Self {
        beat_ms: 500,
        window: 200,
        sigma_ms_min: 100,
        pause_ms: 1_000,
        phi_suspect: 3.0,
        phi_dead: 8.0,
        resume_ms: 150,
        resume_ms_mass: 1_000,
        hop_grace_ms: 6_000,
        lag_ms_max: 250,
        pause_factor_max: 8,
        stall_ms: 1_000,
        observe_ms: 3_000,
        mass_window_ms: 2_000,
        mass_percent: 30,
        mass_workers_min: 3,
        hold_ms: 10_000,
        ended_keep_ms: 600_000,
        workers_max: 10_000,
    };

    /// Whether `count` of `all` workers is more than can fail for reasons of their own.
    #[must_use]
    pub fn is_mass(&self, count: usize, all: usize) -> bool {
        let (count, all) = (count as u64, all as u64);
        count >= self.mass_workers_min && count * 100 > all * self.mass_percent
    }
}
