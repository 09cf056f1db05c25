//! Histories are whole, and say what the state is.

use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::history_event::Event;
use serde_json::Value;

use crate::evidence::{Evidence, terminal};
use crate::report::Finding;

pub(super) fn all(evidence: &Evidence) -> Vec<Finding> {
    let mut gapless = Finding::new("18", "events are numbered 1, 2, 3, … without gap or double");
    let mut folded = Finding::new("19", "the state is what the history says (phase and output)");
    let mut ends = Finding::new("20", "a workflow that is over has one end, and it is last");
    for (id, story) in &evidence.stories {
        let numbers: Vec<_> = story.history.iter().map(|event| event.seq).collect();
        let whole = numbers.iter().copied().eq(1..=numbers.len() as u64);
        gapless.check(whole, || format!("{id}: {numbers:?}"));
        let last = story.history.last();
        let by_history = last.and_then(terminal).unwrap_or("open");
        let by_state = word(story.workflow.phase());
        let output = story.workflow.output.as_ref().map(|output| output.data.as_ref());
        let output: Option<Value> = output.and_then(|data| serde_json::from_slice(data).ok());
        let told = last.and_then(|event| match event.event.as_ref() {
            Some(Event::WorkflowCompleted(end)) => serde_json::from_slice(&end.output).ok(),
            _ => None,
        });
        let same = by_history == by_state && (told.is_none() || told == output);
        folded.check(same, || {
            format!("{id}: {by_state} with {output:?}, history {by_history} with {told:?}")
        });
        let count = story.history.iter().filter_map(terminal).count();
        let fine = if by_state == "open" { count == 0 } else { count == 1 && by_history != "open" };
        ends.check(fine, || format!("{id}: {count} ends, {by_state}, last {by_history}"));
    }
    vec![gapless, folded, ends]
}

/// The phase in a word; all that are not over are open.
pub(super) fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Completed => "completed",
        Phase::Faulted => "faulted",
        Phase::Cancelled => "cancelled",
        _ => "open",
    }
}
