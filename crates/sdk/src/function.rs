//! Functions that a worker executes.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use planaria_proto::task::v1::Function as Announcement;
use planaria_proto::types::v1;
use planaria_proto::types::v1::Payload;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::task_error::VALIDATION;
use crate::{Context, Error, TaskError, clock};

type Outcome = Pin<Box<dyn Future<Output = Result<Payload, TaskError>> + Send>>;
type Handler = Arc<dyn Fn(Context, Option<Payload>) -> Outcome + Send + Sync>;

/// What a handler without arguments gets: the first of these that fits its input type.
const NO_ARGUMENTS: [&[u8]; 2] = [b"{}", b"null"];

/// How the failures of a function are retried: the n-th delay is `delay * factor^(n-1)`, at most
/// `delay_max`, and the system draws each one between nothing and that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// First delay.
    pub delay: Duration,
    /// Factor from one delay to the next.
    pub factor: f64,
    /// Longest delay.
    pub delay_max: Duration,
    /// Failures after which the system gives up; at least 1.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(1),
            factor: 2.0,
            delay_max: Duration::from_secs(100),
            attempts_max: 10,
        }
    }
}

impl RetryPolicy {
    fn announce(&self) -> v1::RetryPolicy {
        v1::RetryPolicy {
            delay: Some(clock::to_proto(self.delay)),
            factor: self.factor,
            delay_max: Some(clock::to_proto(self.delay_max)),
            attempts_max: self.attempts_max,
        }
    }
}

/// The functions of one worker by name and version.
#[derive(Default)]
pub(crate) struct Functions {
    handlers: BTreeMap<String, BTreeMap<String, Handler>>,
    policies: BTreeMap<String, RetryPolicy>,
    problem: Option<String>,
}

impl Functions {
    pub(crate) fn add(&mut self, name: &str, version: &str, handler: Handler) {
        if name.is_empty() || name.len() > 128 {
            self.problem = Some(format!("`{name}` is not a function's name"));
        }
        // The engine calls an unversioned function 0.0.0.
        let version = if version.is_empty() { "0.0.0" } else { version };
        let versions = self.handlers.entry(name.to_owned()).or_default();
        if versions.insert(version.to_owned(), handler).is_some() {
            self.problem = Some(format!("the function {name}:{version} was given twice"));
        }
    }

    pub(crate) fn set_policy(&mut self, name: String, policy: RetryPolicy) {
        self.policies.insert(name, policy);
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let stray = self.policies.keys().find(|name| !self.handlers.contains_key(*name));
        match (&self.problem, stray) {
            (Some(problem), _) => Err(Error::Worker(problem.clone())),
            (None, Some(name)) => {
                Err(Error::Worker(format!("a retry policy is for `{name}`, which is no function")))
            }
            _ if self.handlers.is_empty() => Err(Error::Worker("it has no function".to_owned())),
            _ => Ok(()),
        }
    }

    pub(crate) fn find(&self, name: &str, version: &str) -> Option<&Handler> {
        let versions = self.handlers.get(name)?;
        if version.is_empty() {
            return versions.values().next_back();
        }
        versions.get(version)
    }

    /// As they are announced to the engine.
    pub(crate) fn announce(&self) -> Vec<Announcement> {
        let announce = |name: &String, version: &String| Announcement {
            name: name.clone(),
            version: version.clone(),
            retry: self.policies.get(name).map(RetryPolicy::announce),
        };
        let each = self.handlers.iter();
        each.flat_map(|(name, versions)| versions.keys().map(move |version| (name, version)))
            .map(|(name, version)| announce(name, version))
            .collect()
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.handlers.keys()).finish()
    }
}

/// A handler of values.
pub(crate) fn typed<F, R, I, O>(function: F) -> Handler
where
    F: Fn(Context, I) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O, TaskError>> + Send + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
{
    Arc::new(move |context, arguments| match parse(arguments.as_ref()) {
        Ok(input) => {
            let running = function(context, input);
            Box::pin(async move { serialize(&running.await?) })
        }
        Err(error) => Box::pin(std::future::ready(Err(error))),
    })
}

/// A handler of values that blocks its thread, and so gets one of its own.
pub(crate) fn blocking<F, I, O>(function: F) -> Handler
where
    F: Fn(Context, I) -> Result<O, TaskError> + Send + Sync + 'static,
    I: DeserializeOwned + Send + 'static,
    O: Serialize + 'static,
{
    let function = Arc::new(function);
    Arc::new(move |context, arguments| {
        let function = Arc::clone(&function);
        let run = move || serialize(&function(context, parse(arguments.as_ref())?)?);
        let span = tracing::Span::current();
        let running = tokio::task::spawn_blocking(move || span.in_scope(run));
        Box::pin(async move {
            match running.await {
                Ok(outcome) => outcome,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(error) => Err(TaskError::from(error)),
                },
            }
        })
    })
}

/// A handler of bytes.
pub(crate) fn raw<F, R>(function: F) -> Handler
where
    F: Fn(Context, Payload) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Payload, TaskError>> + Send + 'static,
{
    Arc::new(move |context, arguments| Box::pin(function(context, arguments.unwrap_or_default())))
}

fn parse<I: DeserializeOwned>(arguments: Option<&Payload>) -> Result<I, TaskError> {
    let parsed = match arguments.filter(|arguments| !arguments.data.is_empty()) {
        Some(arguments) => serde_json::from_slice(&arguments.data),
        None => serde_json::from_slice(NO_ARGUMENTS[0])
            .or_else(|error| serde_json::from_slice(NO_ARGUMENTS[1]).map_err(|_| error)),
    };
    parsed.map_err(|error| {
        TaskError::permanent(error.to_string())
            .with_type(VALIDATION)
            .with_status(400)
            .with_title("The arguments are not what the function takes")
    })
}

fn serialize<O: Serialize>(output: &O) -> Result<Payload, TaskError> {
    let data = serde_json::to_vec(output).map_err(|error| {
        TaskError::permanent(error.to_string()).with_title("The output does not become JSON")
    })?;
    Ok(Payload { content_type: String::new(), data: Bytes::from(data) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_arguments_are_an_empty_object_or_null() {
        assert_eq!(parse::<serde_json::Value>(None).expect("a value"), serde_json::json!({}));
        parse::<()>(None).expect("a unit");
        let error = parse::<Vec<u8>>(None).unwrap_err();
        assert_eq!((error.status(), error.is_retryable()), (400, false));
    }

    #[test]
    fn a_worker_without_sense_is_refused() {
        let handler = || typed(|_, (): ()| async { Ok(()) });
        let mut functions = Functions::default();
        assert!(functions.check().is_err(), "no function");
        functions.add("f", "", handler());
        functions.check().expect("one function");
        assert_eq!(functions.announce()[0].version, "0.0.0");
        functions.set_policy("g".into(), RetryPolicy::default());
        assert!(functions.check().is_err(), "policy without function");
        functions.add("g", "1.0.0", handler());
        functions.check().expect("two functions");
        functions.add("g", "1.0.0", handler());
        assert!(functions.check().is_err(), "given twice");
    }
}
