//! Why a task waits, if it is for a limit.

use std::sync::Arc;

use super::Api;
use crate::error::Error;
use crate::limits::{Rules, UseRow};
use crate::store::{TaskRow, TaskState};

/// What runs under the limits of some tasks.
pub(super) struct Limited {
    rules: Arc<Rules>,
    uses: Vec<UseRow>,
}

impl Limited {
    /// What is to be known to tell of these tasks; without a limit the store is not asked.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) async fn of(
        api: &Api,
        mut tasks: impl Iterator<Item = &TaskRow>,
    ) -> Result<Self, Error> {
        let rules = api.limits.rules();
        let is_limited = |task: &TaskRow| {
            task.state == TaskState::Queued && !rules.of(&task.namespace, &task.function).is_empty()
        };
        let uses =
            if tasks.any(is_limited) { api.limits.store().limit_uses().await? } else { Vec::new() };
        Ok(Self { rules, uses })
    }

    /// The limit of how many run at once that has no place for a task, in words.
    pub(super) fn why(&self, task: &TaskRow) -> Option<String> {
        let mut rules = self.rules.of(&task.namespace, &task.function).iter();
        rules.find_map(|rule| {
            let (most, used) = (rule.concurrency?, rule.used_by(task.limit_values.as_deref())?);
            let of = self.uses.iter().filter(|row| row.of == used);
            let running = of.map(|row| row.running).fold(0, u32::saturating_add);
            let function = &task.function;
            (running >= most).then(|| format!("the limit of {function}: {running} of {most} run"))
        })
    }
}
