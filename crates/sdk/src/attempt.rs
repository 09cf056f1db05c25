//! One attempt that this worker has: what it was given, and what it told so far.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use planaria_proto::failure_detector::v1::RunningAttempt;
use planaria_proto::task::v1::Assignment;
use planaria_proto::types::v1::Payload;
use tokio_util::sync::CancellationToken;

/// An attempt from its assignment until its result is acknowledged.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Without the arguments: they went to the function.
    pub(crate) assignment: Assignment,
    pub(crate) session_id: Arc<str>,
    /// Cancelled when the function should stop.
    pub(crate) cancel: CancellationToken,
    /// Set before `cancel` when the attempt goes back, unset when it is to be forgotten.
    hand_back: AtomicBool,
    ended: AtomicBool,
    told: Mutex<Told>,
}

/// What the function said about itself.
#[derive(Debug, Default)]
struct Told {
    progress_count: u64,
    progress: String,
    checkpoint: Option<Payload>,
    /// Rises with each checkpoint; 0 = none yet.
    checkpoint_number: u64,
}

impl Attempt {
    pub(crate) fn new(assignment: Assignment, session_id: Arc<str>) -> Self {
        Self {
            assignment,
            session_id,
            cancel: CancellationToken::new(),
            hand_back: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.assignment.attempt_id
    }

    /// Ends the attempt. True for the first caller only: its outcome is the one that counts.
    pub(crate) fn end(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Stops the function; its attempt goes back to the engine.
    pub(crate) fn hand_back(&self) {
        self.hand_back.store(true, Ordering::Release);
        self.cancel.cancel();
    }

    pub(crate) fn goes_back(&self) -> bool {
        self.hand_back.load(Ordering::Acquire)
    }

    pub(crate) fn progressed(&self, progress: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.progress_count += 1;
        told.progress = progress;
    }

    pub(crate) fn set_checkpoint(&self, checkpoint: Payload) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.progress_count += 1;
        told.checkpoint = Some(checkpoint);
        told.checkpoint_number += 1;
    }

    /// The newest checkpoint: of this attempt, or else of an earlier one.
    pub(crate) fn checkpoint(&self) -> Option<Payload> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.checkpoint.clone().or_else(|| self.assignment.checkpoint.clone())
    }

    /// The newest checkpoint of this very attempt.
    pub(crate) fn own_checkpoint(&self) -> Option<Payload> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).checkpoint.clone()
    }

    /// For a heartbeat, with the number of its newest checkpoint; the checkpoint itself only if
    /// that number is above `checkpoint_told`.
    pub(crate) fn describe(&self, checkpoint_told: u64) -> (RunningAttempt, u64) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let news = told.checkpoint_number > checkpoint_told;
        let running = RunningAttempt {
            attempt_id: self.id().to_owned(),
            progress_count: told.progress_count,
            progress: told.progress.clone(),
            checkpoint: told.checkpoint.clone().filter(|_| news),
            progress_timeout: self.assignment.progress_timeout,
        };
        (running, told.checkpoint_number)
    }
}
