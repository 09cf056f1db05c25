//! Ending with the process that started this one.

use std::io::Read;

use tokio_util::sync::CancellationToken;

/// Cancels `stop` when standard input is closed: its other end is held by the parent and dies
/// with it, however it dies.
pub(crate) fn end_with_stdin(stop: CancellationToken) {
    // A thread of its own: the runtime would wait for the read when it is shut down.
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 64];
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut buffer), Ok(read) if read > 0) {}
        stop.cancel();
    });
}
