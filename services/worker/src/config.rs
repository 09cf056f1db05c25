//! The worker's settings: the section `[worker]`.

use std::collections::BTreeMap;

use planaria_egress::EgressConfig;
use serde::{Deserialize, Serialize, Serializer};

/// The section `[worker]`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where the gateway listens.
    pub gateway: String,
    /// The API key that it shows there, of the role `worker`; empty = one that follows from the
    /// secret of the mesh.
    #[serde(serialize_with = "hidden")]
    pub api_key: String,
    /// A stable name, unique among the workers; empty = the host's name and the ordinal.
    pub id: String,
    /// Tells the workers of one host apart.
    pub ordinal: u32,
    /// How many attempts it executes at the same time, 1 to 10000.
    pub capacity: u32,
    /// The queues that it takes tasks from; none = `default`.
    pub queues: Vec<String>,
    /// What tasks can ask for.
    pub labels: BTreeMap<String, String>,
    /// Which of the built-in functions it offers.
    pub functions: Vec<String>,
    /// When it leaves, attempts that end within this are not handed back.
    pub drain_grace_ms: u64,
    /// When it leaves while the engine is away, it goes without a goodbye after this.
    pub drain_ms_max: u64,
    /// The function `http`.
    pub http: HttpConfig,
    /// The function `simulate`.
    pub simulate: SimulateConfig,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // One of them is a key.
        let mut debug = formatter.debug_struct("Config");
        debug.field("id", &self.id).field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

/// Settings are printed; a key is not.
fn hidden<S: Serializer>(key: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if key.is_empty() { "" } else { "(hidden)" })
}

/// The section `[worker.http]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpConfig {
    /// A call may take so long in all; a task's own timeout shortens it.
    pub request_ms_max: u64,
    /// The connection must be open after this.
    pub connect_ms_max: u64,
    /// The largest body that is accepted.
    pub response_bytes_max: usize,
    /// Unused connections kept per host.
    pub connections_idle_max: usize,
    /// Whom it may call.
    pub egress: EgressConfig,
}

/// The section `[worker.simulate]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SimulateConfig {
    /// Whether `crash` may end this process.
    pub crash_allowed: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gateway: "http://127.0.0.1:8080".to_owned(),
            api_key: String::new(),
            id: String::new(),
            ordinal: 0,
            capacity: 64,
            queues: vec!["default".to_owned()],
            labels: BTreeMap::new(),
            functions: vec!["http".to_owned(), "simulate".to_owned()],
            drain_grace_ms: 0,
            drain_ms_max: 4_000,
            http: HttpConfig::default(),
            simulate: SimulateConfig::default(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            request_ms_max: 30_000,
            connect_ms_max: 5_000,
            response_bytes_max: 1024 * 1024,
            connections_idle_max: 8,
            egress: EgressConfig::default(),
        }
    }
}

impl Default for SimulateConfig {
    fn default() -> Self {
        Self { crash_allowed: true }
    }
}
