//! Errors on their way up: who catches them, and whether the body runs again.

use crate::Json;
use crate::definition::{Backoff, Catch, Kind, TryRetry};
use crate::workflow::apply::{Machine, Stop, View};
use crate::workflow::{
    Effect, ErrorObject, Fact, Frame, FrameId, FrameState, Phase, Timer, TryStage,
};

/// A try catches an error.
struct Answer {
    /// When the body runs again; `None` = the error is handled.
    retry_at_ms: Option<u64>,
}

impl Machine<'_, '_> {
    /// Looks for the innermost try that catches the error of a faulted frame.
    pub(super) fn propagate(&mut self, from: FrameId, error: &ErrorObject) -> Result<(), Stop> {
        let mut below = self.workflow.frames.get(&from).and_then(|frame| frame.parent);
        while let Some(id) = below {
            let Some(frame) = self.workflow.frames.get(&id).cloned() else { break };
            below = frame.parent;
            let graph = self.graph();
            let (FrameState::Try { retries, stage: TryStage::Body }, Kind::Try { catch, .. }) =
                (&frame.state, &graph.node(frame.node).kind)
            else {
                continue;
            };
            match self.answer(&frame, catch, *retries, error) {
                Ok(None) => {}
                Ok(Some(Answer { retry_at_ms })) => {
                    self.caught(id, error.clone(), retry_at_ms);
                    return Ok(());
                }
                // The catch itself fails: that is the try's own error, and goes outward from it.
                Err(Stop::Error(failed)) => {
                    self.fault(id, failed);
                    return Ok(());
                }
                Err(Stop::Pending) => return Err(Stop::Pending),
            }
        }
        if self.workflow.phase == Phase::Running {
            self.fault_workflow(from, error.clone());
        }
        Ok(())
    }

    fn caught(&mut self, id: FrameId, error: ErrorObject, retry_at_ms: Option<u64>) {
        self.end_below(id);
        self.record(Fact::ErrorCaught { frame: id, error, retry_at_ms });
        if let Some(due_ms) = retry_at_ms {
            self.step.effects.push(Effect::Arm { frame: id, timer: Timer::Retry, due_ms });
        }
    }

    /// What a try answers to an error from its body; `None` = it does not catch it.
    fn answer(
        &mut self,
        frame: &Frame,
        catch: &Catch,
        retries: u32,
        error: &ErrorObject,
    ) -> Result<Option<Answer>, Stop> {
        if !self.catches(frame, catch, error)? {
            return Ok(None);
        }
        let retry_at_ms = match &catch.retry {
            Some(retry) => self.next_run(frame, catch, retry, retries, error)?,
            None => None,
        };
        Ok(Some(Answer { retry_at_ms }))
    }

    fn catches(&mut self, frame: &Frame, catch: &Catch, error: &ErrorObject) -> Result<bool, Stop> {
        if !error.matches(&catch.errors) {
            return Ok(false);
        }
        let variables = error_variables(frame, catch, error);
        self.holds(frame, &variables, catch.when, catch.except_when)
    }

    /// `when` holds and `exceptWhen` does not.
    fn holds(
        &mut self,
        frame: &Frame,
        variables: &[(std::sync::Arc<str>, Json)],
        when: Option<crate::definition::ExpressionId>,
        except_when: Option<crate::definition::ExpressionId>,
    ) -> Result<bool, Stop> {
        let view = View { variables, ..View::of(frame) };
        if let Some(when) = when
            && !self.evaluate(when, &view)?.is_true()
        {
            return Ok(false);
        }
        if let Some(except_when) = except_when {
            return Ok(!self.evaluate(except_when, &view)?.is_true());
        }
        Ok(true)
    }

    /// When the body runs again; `None` = it does not, the error is handled.
    fn next_run(
        &mut self,
        frame: &Frame,
        catch: &Catch,
        retry: &TryRetry,
        retries: u32,
        error: &ErrorObject,
    ) -> Result<Option<u64>, Stop> {
        if retry.attempts_max.is_some_and(|most| retries >= most) {
            return Ok(None);
        }
        let variables = error_variables(frame, catch, error);
        if !self.holds(frame, &variables, retry.when, retry.except_when)? {
            return Ok(None);
        }
        let view = View { variables: &variables, ..View::of(frame) };
        let delay_ms = self.duration(retry.delay, &view)?;
        let mut wait_ms = backoff(retry.backoff, delay_ms, retries);
        if let Some(jitter) = retry.jitter {
            let width = jitter.to_ms.saturating_sub(jitter.from_ms).saturating_add(1);
            let addition = jitter.from_ms.saturating_add(self.around.random % width);
            wait_ms = wait_ms.saturating_add(addition);
        }
        let at_ms = self.around.now_ms.saturating_add(wait_ms);
        if let Some(duration) = retry.duration {
            let lasts = self.duration(duration, &view)?;
            if at_ms > frame.started_at_ms.saturating_add(lasts) {
                return Ok(None);
            }
        }
        Ok(Some(at_ms))
    }
}

/// The delay before retry number `retries + 1`.
fn backoff(backoff: Backoff, delay_ms: u64, retries: u32) -> u64 {
    let (grown, most) = match backoff {
        Backoff::Constant => (delay_ms, None),
        Backoff::Linear { increment_ms, delay_max_ms } => {
            let step = increment_ms.unwrap_or(delay_ms).saturating_mul(u64::from(retries));
            (delay_ms.saturating_add(step), delay_max_ms)
        }
        Backoff::Exponential { multiplier, delay_max_ms } => {
            let factor = multiplier.max(1.0).powi(i32::try_from(retries).unwrap_or(i32::MAX));
            // A float too large for u64 becomes u64::MAX: the cast saturates.
            ((delay_ms as f64 * factor) as u64, delay_max_ms)
        }
    };
    grown.min(most.unwrap_or(u64::MAX))
}

fn error_variables(
    frame: &Frame,
    catch: &Catch,
    error: &ErrorObject,
) -> Vec<(std::sync::Arc<str>, Json)> {
    let mut variables = frame.variables.to_vec();
    variables.push((catch.variable.clone(), error.to_json()));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_as_the_policy_says() {
        let constant: Vec<u64> = (0..3).map(|n| backoff(Backoff::Constant, 100, n)).collect();
        assert_eq!(constant, [100, 100, 100]);
        let linear = Backoff::Linear { increment_ms: Some(50), delay_max_ms: Some(180) };
        let linear: Vec<u64> = (0..3).map(|n| backoff(linear, 100, n)).collect();
        assert_eq!(linear, [100, 150, 180]);
        let exponential = Backoff::Exponential { multiplier: 2.0, delay_max_ms: Some(1_000) };
        let exponential: Vec<u64> = (0..5).map(|n| backoff(exponential, 100, n)).collect();
        assert_eq!(exponential, [100, 200, 400, 800, 1_000]);
        let unbounded = Backoff::Exponential { multiplier: 2.0, delay_max_ms: None };
        assert_eq!(backoff(unbounded, 100, 10_000), u64::MAX);
    }
}
