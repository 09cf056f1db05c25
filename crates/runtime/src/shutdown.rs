//! From signals to a stop token.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// The exit status after a second signal: by convention 128 plus the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// A token that is cancelled by the first SIGTERM, SIGINT, or SIGHUP (the terminal is gone); a
/// second one ends the process at once. A SIGHUP that the process was started to ignore, as `nohup`
/// does, stays ignored. Must be called inside a tokio runtime.
///
/// # Errors
/// The signal handler cannot be installed.
pub fn on_signal() -> Result<CancellationToken, Error> {
    let install = |kind| {
        signal(kind).map_err(|source| Error::Io { what: "installing the signal handler", source })
    };
    let mut signals = Signals {
        terminate: install(SignalKind::terminate())?,
        interrupt: install(SignalKind::interrupt())?,
        hangup: match is_hangup_ignored() {
            true => None,
            false => Some(install(SignalKind::hangup())?),
        },
    };
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::info!(signal, "stopping");
        token.cancel();
        let signal = signals.next().await;
        tracing::warn!(signal, "second signal, ending now");
        #[expect(clippy::disallowed_methods, reason = "the operator asked for no ceremony")]
        std::process::exit(INTERRUPTED);
    });
    Ok(stop)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` while it is ignored.
    hangup: Option<Signal>,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        let Self { terminate, interrupt, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hung_up => "SIGHUP",
        }
    }
}

/// Whether the process was started with SIGHUP ignored; where there is no `/proc`, it was not.
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// The same, read from `/proc/self/status`: a mask of signals, SIGHUP in its lowest bit.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t01\nSigIgn:\t{mask}\nSigCgt:\t00\n");
        assert!(ignores_hangup(&status("0000000000000001")));
        assert!(ignores_hangup(&status("0000000000001003")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup(""));
    }
}
