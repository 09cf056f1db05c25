//! From signals to a stop token.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// The exit status after a second signal: by convention 128 plus the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// A token that is cancelled by the first SIGTERM or SIGINT; a second one ends the process at
/// once. Must be called inside a tokio runtime.
///
/// # Errors
/// The signal handler cannot be installed.
pub fn on_signal() -> Result<CancellationToken, Error> {
    let install = |kind| {
        signal(kind).map_err(|source| Error::Io { what: "installing the signal handler", source })
    };
    let mut terminate = install(SignalKind::terminate())?;
    let mut interrupt = install(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let signal = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal, "stopping");
        token.cancel();
        let signal = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal, "second signal, ending now");
        #[expect(clippy::disallowed_methods, reason = "the operator asked for no ceremony")]
        std::process::exit(INTERRUPTED);
    });
    Ok(stop)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
