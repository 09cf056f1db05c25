//! What the orchestrators have not been told yet of the heartbeats: the latest of each session.

use std::collections::BTreeMap;

use planaria_proto::orchestrator::v1::observe_sessions_request::Observation;
use prost::Message;

/// At most one observation per session, so bounded by the number of workers.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    pending: BTreeMap<String, Observed>,
}

/// One of them, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) worker_id: String,
    pub(crate) observation: Observation,
}

impl Observations {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// A newer heartbeat takes the place of an older one, but not its checkpoints'.
    pub(crate) fn add(&mut self, newer: Observed) {
        let session_id = newer.observation.session_id.clone();
        let merged = match self.pending.remove(&session_id) {
            Some(older) => merge(older, newer),
            None => newer,
        };
        self.pending.insert(session_id, merged);
    }

    /// What was taken and could not be told.
    pub(crate) fn put_back(&mut self, batch: Vec<Observed>) {
        for older in batch {
            let session_id = older.observation.session_id.clone();
            let merged = match self.pending.remove(&session_id) {
                Some(newer) => merge(older, newer),
                None => older,
            };
            self.pending.insert(session_id, merged);
        }
    }

    pub(crate) fn forget(&mut self, session_id: &str) {
        self.pending.remove(session_id);
    }

    /// The next call's worth: at least one, and no more than `bytes_max` of them.
    pub(crate) fn take(&mut self, bytes_max: usize) -> Vec<Observed> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(first) = self.pending.first_entry() {
            bytes += first.get().observation.encoded_len();
            if !batch.is_empty() && bytes > bytes_max {
                break;
            }
            batch.push(first.remove());
        }
        batch
    }
}

fn merge(older: Observed, mut newer: Observed) -> Observed {
    let told = &mut newer.observation;
    for checkpoint in older.observation.checkpoints {
        let id = &checkpoint.attempt_id;
        match told.checkpoints.iter_mut().find(|other| other.attempt_id == *id) {
            // Of progress alone: the checkpoint was not told yet.
            Some(other) if other.checkpoint.is_none() => other.checkpoint = checkpoint.checkpoint,
            Some(_) => {}
            None if told.attempt_ids.contains(id) => told.checkpoints.push(checkpoint),
            None => {}
        }
    }
    newer
}

#[cfg(test)]
mod tests {
    use planaria_proto::orchestrator::v1::observe_sessions_request::Checkpoint;

    use super::*;

    fn observed(session: &str, attempts: &[&str], checkpoints: &[(&str, &str)]) -> Observed {
        let checkpoint = |(id, text): &(&str, &str)| Checkpoint {
            attempt_id: (*id).into(),
            progress: (*text).into(),
            checkpoint: None,
        };
        let observation = Observation {
            session_id: session.into(),
            attempt_ids: attempts.iter().map(|id| (*id).into()).collect(),
            checkpoints: checkpoints.iter().map(checkpoint).collect(),
            ..Observation::default()
        };
        Observed { worker_id: session.into(), observation }
    }

    fn checkpoints(batch: &[Observed]) -> Vec<(&str, &str)> {
        let all = batch.iter().flat_map(|observed| &observed.observation.checkpoints);
        all.map(|each| (each.attempt_id.as_str(), each.progress.as_str())).collect()
    }

    #[test]
    fn progress_alone_overwrites_no_checkpoint() {
        let mut older = observed("s", &["a"], &[("a", "half")]);
        let checkpoint = Some(planaria_proto::types::v1::Payload::default());
        older.observation.checkpoints[0].checkpoint.clone_from(&checkpoint);
        let merged = merge(older, observed("s", &["a"], &[("a", "more")]));
        let told = &merged.observation.checkpoints;
        assert_eq!((told.len(), told[0].progress.as_str()), (1, "more"));
        assert_eq!(told[0].checkpoint, checkpoint);
    }

    #[test]
    fn no_checkpoint_is_lost_and_no_newer_one_is_overwritten() {
        let mut observations = Observations::default();
        observations.add(observed("s", &["a", "b"], &[("a", "1"), ("b", "1")]));
        observations.add(observed("s", &["a", "b"], &[("a", "2")]));
        let batch = observations.take(10_000);
        assert_eq!(checkpoints(&batch), [("a", "2"), ("b", "1")]);
        observations.add(observed("s", &["a"], &[("a", "3")]));
        observations.put_back(batch);
        assert_eq!(checkpoints(&observations.take(10_000)), [("a", "3")]);
        assert!(observations.is_empty());
    }

    #[test]
    fn a_call_has_a_size() {
        let mut observations = Observations::default();
        for session in ["s1", "s2", "s3"] {
            observations.add(observed(session, &["0123456789"], &[]));
        }
        assert_eq!(observations.take(40).len(), 2);
        assert_eq!(observations.take(1).len(), 1);
    }
}
