//! A service under test beside the fake: started, killed, and started again over what it kept.

use std::future::Future;
use std::time::Duration;

use planaria_runtime::{Deps, ReplicaChannel, ServerLimits, Service};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::FakeOrchestrator;

/// Longer than anything in a test of a service may take; a test that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An orchestrator, a folder, and the service that tests build over them.
#[derive(Debug)]
pub struct Stage {
    /// Where the service reads its log.
    pub mesh: FakeOrchestrator,
    data_dir: TempDir,
    running: Vec<JoinHandle<()>>,
}

impl Stage {
    /// A stage without a service.
    ///
    /// # Panics
    /// There is no place for files.
    pub async fn new() -> Self {
        let data_dir = tempfile::tempdir().expect("a folder for the service's files");
        Self { mesh: FakeOrchestrator::start().await, data_dir, running: Vec::new() }
    }

    /// What a service on this stage is built with.
    #[must_use]
    pub fn deps(&self) -> Deps {
        Deps::new(self.mesh.directory(), self.data_dir.path(), CancellationToken::new())
    }

    /// Serves on a free port, and connects as a service of the mesh.
    ///
    /// # Panics
    /// There is no free port.
    pub async fn serve(&mut self, service: Service, stop: CancellationToken) -> ReplicaChannel {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        self.running.push(tokio::spawn(async move {
            let limits = ServerLimits::default();
            // How it ends shows in what it answers.
            let _ended = planaria_runtime::serve(service, listener, None, limits, stop).await;
        }));
        let channel = self.mesh.directory().connect(&format!("http://{address}"));
        channel.expect("an address")
    }

    /// Ends what was served first as a crash would.
    pub async fn kill(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let service = self.running.remove(0);
        service.abort();
        let _aborted = service.await;
    }
}

/// Asks again until the answer is there.
///
/// # Panics
/// It does not come within [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it came to be")
}
