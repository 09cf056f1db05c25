//! Puts a worker together.

use std::collections::HashMap;
use std::future::Future;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use planaria_proto::types::v1::Payload;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Worker;
use super::core::{Core, Identity, Patience};
use crate::channel::{Address, ApiKey};
use crate::function::{Functions, RetryPolicy, blocking, raw, typed};
use crate::inventory::Inventory;
use crate::{Context, Error, TaskError};

const ID_BYTES_MAX: usize = 128;
const CAPACITY_MAX: u32 = 10_000;

/// See [`Worker::builder`].
#[derive(Debug)]
#[must_use = "nothing works until it is built and run"]
pub struct WorkerBuilder {
    address: String,
    api_key: Option<ApiKey>,
    id: Option<String>,
    version: String,
    queues: Vec<String>,
    labels: HashMap<String, String>,
    capacity: u32,
    functions: Functions,
    patience: Patience,
}

impl WorkerBuilder {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            api_key: None,
            id: None,
            version: String::new(),
            queues: Vec::new(),
            labels: HashMap::new(),
            capacity: 20,
            functions: Functions::default(),
            patience: Patience {
                drain_grace: Duration::ZERO,
                drain_max: Duration::from_secs(4),
                cancel_grace: Duration::from_secs(1),
            },
        }
    }

    /// A stable name, unique among the workers: a new process under the same id ends the session
    /// of the old one. Default: host name and process id.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The API key that it shows with every call; its role must be `worker`.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(ApiKey(key.into()));
        self
    }

    /// The version of the program, for people.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// A queue to take tasks from; may be called several times. Default: `default`.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queues.push(queue.into());
        self
    }

    /// A label that tasks can ask for; may be called several times.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// How many attempts it executes at the same time, 1 to 10000. Default: 20.
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        self
    }

    /// An asynchronous function of values. `version` is semantic, such as `1.2.0`.
    pub fn function<F, R, I, O>(
        mut self,
        name: impl Into<String>,
        version: impl Into<String>,
        function: F,
    ) -> Self
    where
        F: Fn(Context, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, TaskError>> + Send + 'static,
        I: DeserializeOwned + 'static,
        O: Serialize + 'static,
    {
        self.functions.add(&name.into(), &version.into(), typed(function));
        self
    }

    /// A function that blocks its thread: it gets one of its own. Such a function cannot be
    /// stopped from outside; it has to look at [`Context::is_cancelled`], and the program's runtime
    /// waits for it at the end.
    pub fn blocking_function<F, I, O>(
        mut self,
        name: impl Into<String>,
        version: impl Into<String>,
        function: F,
    ) -> Self
    where
        F: Fn(Context, I) -> Result<O, TaskError> + Send + Sync + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize + 'static,
    {
        self.functions.add(&name.into(), &version.into(), blocking(function));
        self
    }

    /// An asynchronous function of bytes and their content type.
    pub fn raw_function<F, R>(
        mut self,
        name: impl Into<String>,
        version: impl Into<String>,
        function: F,
    ) -> Self
    where
        F: Fn(Context, Payload) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Payload, TaskError>> + Send + 'static,
    {
        self.functions.add(&name.into(), &version.into(), raw(function));
        self
    }

    /// How failures of the function of that name are retried, over the engine's default.
    pub fn retry_policy(mut self, function: impl Into<String>, policy: RetryPolicy) -> Self {
        self.functions.set_policy(function.into(), policy);
        self
    }

    /// When the worker leaves, attempts that end within this are not handed back. Default: none,
    /// so that they go on elsewhere at once.
    pub fn drain_grace(mut self, grace: Duration) -> Self {
        self.patience.drain_grace = grace;
        self
    }

    /// When the worker leaves while the engine cannot be reached, it goes without a goodbye after
    /// this. Default: 4 s.
    pub fn drain_max(mut self, max: Duration) -> Self {
        self.patience.drain_max = max;
        self
    }

    /// How long a cancelled asynchronous function may go on before it is dropped. Default: 1 s.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.patience.cancel_grace = grace;
        self
    }

    /// Checks everything and makes the worker. It talks to nobody before it runs.
    ///
    /// # Errors
    /// A bad address, key, id or capacity; no function, or one that was given twice.
    pub fn build(self) -> Result<Worker, Error> {
        let mut address = Address::parse(&self.address)?;
        if let Some(ApiKey(key)) = &self.api_key {
            address = address.with_key(key)?;
        }
        self.functions.check()?;
        let pid = process::id();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let worker_id = self.id.unwrap_or_else(|| format!("{host}-{pid}"));
        if worker_id.is_empty() || worker_id.len() > ID_BYTES_MAX {
            return Err(Error::Worker(format!("its id must have 1 to {ID_BYTES_MAX} bytes")));
        }
        if self.capacity == 0 || self.capacity > CAPACITY_MAX {
            return Err(Error::Worker(format!("its capacity must be 1 to {CAPACITY_MAX}")));
        }
        let queues = if self.queues.is_empty() { vec!["default".to_owned()] } else { self.queues };
        let (reports, ended) = mpsc::unbounded_channel();
        let core = Core {
            address,
            identity: Identity {
                worker_id,
                incarnation: Uuid::now_v7().to_string(),
                version: self.version,
                host,
                pid,
                queues,
                labels: self.labels,
                capacity: self.capacity,
                functions: self.functions,
            },
            patience: self.patience,
            inventory: Inventory::default(),
            slots: Arc::new(Semaphore::new(self.capacity as usize)),
            session: watch::Sender::new(None),
            reports,
            draining: CancellationToken::new(),
            over: CancellationToken::new(),
            beat_soon: Arc::new(Notify::new()),
            replicas_stale: Notify::new(),
        };
        Ok(Worker { core: Arc::new(core), ended })
    }
}
