//! Repairs: which states should not be, and what mends each.
//!
//! [`plan`] looks at what the orchestrator observed and says what to do; each repair is so specific
//! that doing it chooses nothing. Whatever is seen only once may be a commit on its way, so what
//! looks stuck counts when it is seen twice. [`books`] holds rows against a history, [`record`]
//! says which history can be trusted, [`repeats`] which repair does not help.

pub mod books;
pub mod record;
pub mod repeats;

/// What was observed, and since when it should not be, in Unix milliseconds. `T` names a task, `M`
/// a timer, `W` a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed<T, M, W> {
    /// Failed tasks that wait for a decision, and the latest time by which one was due.
    pub retries: Vec<(T, u64)>,
    /// Timers in the store that were due, and that nothing in memory would fire.
    pub timers: Vec<M>,
    /// Tasks that a session has which is over.
    pub orphans: Vec<T>,
    /// Tasks that wait for a worker, and that no queue in memory has.
    pub stranded: Vec<T>,
    /// Workflows that run and have nothing open; and whether they were seen so before.
    pub quiet: Vec<(W, bool)>,
    /// Workflows that are over and have something open.
    pub leftovers: Vec<W>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repair<T, M, W> {
    /// Decide about a failed task by the default policy: nobody else did.
    DecideRetry(T),
    /// Fire a timer.
    FireTimer(M),
    /// Have a task run again: its session is over.
    RunAgain(T),
    /// Put a task into its queue.
    Queue(T),
    /// Have a workflow go on.
    Advance(W),
    /// Drop what a finished workflow left behind.
    Remove(W),
}

/// What to do about what was observed.
#[must_use]
pub fn plan<T: Copy, M: Copy, W: Copy>(
    observed: &Observed<T, M, W>,
    retry_grace_ms: u64,
    now_ms: u64,
) -> Vec<Repair<T, M, W>> {
    let overdue = |(task, latest_start_ms): &(T, u64)| {
        (latest_start_ms.saturating_add(retry_grace_ms) < now_ms)
            .then_some(Repair::DecideRetry(*task))
    };
    let seen_twice = |(workflow, before): &(W, bool)| before.then_some(Repair::Advance(*workflow));
    let retries = observed.retries.iter().filter_map(overdue);
    let timers = observed.timers.iter().map(|timer| Repair::FireTimer(*timer));
    let orphans = observed.orphans.iter().map(|task| Repair::RunAgain(*task));
    let stranded = observed.stranded.iter().map(|task| Repair::Queue(*task));
    let quiet = observed.quiet.iter().filter_map(seen_twice);
    let leftovers = observed.leftovers.iter().map(|workflow| Repair::Remove(*workflow));
    retries.chain(timers).chain(orphans).chain(stranded).chain(quiet).chain(leftovers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_repair_and_doubt_has_none() {
        let observed = Observed {
            retries: vec![('a', 1_000), ('b', 9_000)],
            timers: vec!['t'],
            orphans: vec!['o'],
            stranded: vec!['s'],
            quiet: vec![('q', true), ('n', false)],
            leftovers: vec!['l'],
        };
        let repairs = plan(&observed, 5_000, 10_000);
        let expected = [
            Repair::DecideRetry('a'),
            Repair::FireTimer('t'),
            Repair::RunAgain('o'),
            Repair::Queue('s'),
            Repair::Advance('q'),
            Repair::Remove('l'),
        ];
        assert_eq!(repairs, expected);
    }
}
