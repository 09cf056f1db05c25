//! Files of one JSON object a line. A line that was told to be written is on disk before the one
//! who told goes on: whoever dies after it cannot take it back.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::Error;

type Line = (String, Option<oneshot::Sender<()>>);

/// A journal; cheap to clone. Lines that wait together are written and synchronised together.
#[derive(Debug, Clone)]
pub struct Journal {
    lines: mpsc::Sender<Line>,
}

impl Journal {
    /// Opens the file to append to it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::options().append(true).create(true).open(path);
        let file = file.map_err(Error::file(path))?;
        let (lines, waiting) = mpsc::channel();
        std::thread::spawn(move || write(file, &waiting));
        Ok(Self { lines })
    }

    /// Has a line written, soon: for those who may not wait.
    pub fn tell(&self, line: &Value) {
        let _ended = self.lines.send((format!("{line}\n"), None));
    }

    /// Writes a line; returns when it is on disk.
    pub async fn write(&self, line: &Value) {
        let (done, written) = oneshot::channel();
        let _ended = self.lines.send((format!("{line}\n"), Some(done)));
        let _ended = written.await;
    }
}

/// Ends with the journal, or with the first error: then nobody is told that a line was written.
fn write(mut file: File, waiting: &mpsc::Receiver<Line>) {
    while let Ok((mut text, done)) = waiting.recv() {
        let mut told: Vec<_> = done.into_iter().collect();
        while let Ok((more, done)) = waiting.try_recv() {
            text.push_str(&more);
            told.extend(done);
        }
        if file.write_all(text.as_bytes()).is_err() || file.sync_data().is_err() {
            return;
        }
        for done in told {
            let _gone = done.send(());
        }
    }
}

/// Milliseconds since 1970: all processes of a run are on one machine, so these can be compared.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "journals are compared with each other by it")]
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
