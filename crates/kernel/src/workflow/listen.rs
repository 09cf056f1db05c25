//! Events: who gets which.

use std::collections::BTreeSet;

use crate::Json;
use crate::definition::{Kind, Read};
use crate::workflow::apply::{Machine, Refusal, Rejected, Stop, View};
use crate::workflow::{Fact, FrameId, FrameState, Workflow};

impl Machine<'_, '_> {
    /// An event for this workflow: kept until a task listens.
    pub(super) fn signal(&mut self, id: String, event: Json) -> Result<(), Refusal> {
        if self.workflow.event_ids.contains(&id) {
            return Err(Rejected::KnownEvent.into());
        }
        if self.workflow.inbox.len() >= self.around.limits.inbox_events_max {
            return Err(Rejected::InboxFull.into());
        }
        self.receive(id, event);
        self.match_events = true;
        Ok(())
    }

    /// An event for whoever listens: changes nothing unless a task takes it.
    pub(super) fn publish(&mut self, id: String, event: Json) -> Result<(), Refusal> {
        if self.workflow.event_ids.contains(&id) {
            return Err(Rejected::KnownEvent.into());
        }
        for frame in self.listening() {
            match self.wants(frame, &event) {
                Ok(true) => {
                    let receipt = self.receive(id, event);
                    self.record(Fact::EventConsumed { frame, receipt });
                    return Ok(());
                }
                Ok(false) | Err(Stop::Error(_)) => {}
                Err(Stop::Pending) => return Err(Refusal::Pending),
            }
        }
        Err(Rejected::NobodyListens.into())
    }

    fn receive(&mut self, id: String, event: Json) -> u32 {
        let receipt = u32::try_from(self.workflow.event_ids.len() + 1).unwrap_or(u32::MAX);
        self.record(Fact::EventReceived { receipt, id, event });
        receipt
    }

    fn listening(&self) -> Vec<FrameId> {
        let frames = self.workflow.frames.iter();
        let listens = frames.filter(|(_, frame)| frame.state == FrameState::Listen);
        listens.map(|(&id, _)| id).collect()
    }

    /// Gives each listening task the oldest event that it wants. Whether somebody got one.
    pub(super) fn bring_events_together(&mut self) -> Result<bool, Stop> {
        if self.workflow.inbox.is_empty() {
            return Ok(false);
        }
        let inbox: Vec<(u32, Json)> =
            self.workflow.inbox.iter().map(|(&n, event)| (n, event.event.clone())).collect();
        let mut matches = Vec::new();
        let mut taken = BTreeSet::new();
        for frame in self.listening() {
            for (receipt, event) in &inbox {
                let receipt = *receipt;
                if taken.contains(&receipt) {
                    continue;
                }
                match self.wants(frame, event) {
                    Ok(true) => {
                        taken.insert(receipt);
                        matches.push(Ok((frame, receipt)));
                        break;
                    }
                    Ok(false) => {}
                    Err(Stop::Error(error)) => {
                        matches.push(Err((frame, error)));
                        break;
                    }
                    // Asked again, from the start, once the value is known.
                    Err(Stop::Pending) => return Err(Stop::Pending),
                }
            }
        }
        let somebody = !matches.is_empty();
        for outcome in matches {
            match outcome {
                Ok((frame, receipt)) => self.record(Fact::EventConsumed { frame, receipt }),
                Err((frame, error)) => self.fault(frame, error),
            }
        }
        Ok(somebody)
    }

    /// Whether the filter of a listening task holds for an event.
    fn wants(&mut self, id: FrameId, event: &Json) -> Result<bool, Stop> {
        let Some(frame) = self.workflow.frames.get(&id).cloned() else { return Ok(false) };
        let graph = self.graph();
        let Kind::Listen { filter, .. } = &graph.node(frame.node).kind else { return Ok(false) };
        let view = View { value: event, ..View::of(&frame) };
        Ok(self.evaluate(*filter, &view)?.is_true())
    }
}

impl Workflow {
    /// What a listen task yields of the event it took: a list with one element.
    pub(super) fn reading(&self, frame: FrameId, event: &Json) -> Json {
        let kind = self.frames.get(&frame).map(|frame| &self.graph.node(frame.node).kind);
        match kind {
            Some(Kind::Listen { read: Read::Data | Read::Raw, .. }) => {
                let data = event.to_value().get("data").map_or(Json::NULL, Json::from_value);
                Json::array([&data])
            }
            _ => Json::array([event]),
        }
    }
}
