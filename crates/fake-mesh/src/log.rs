//! The log in memory.

use std::collections::VecDeque;

use planaria_proto::orchestrator::v1::{LogPosition, LogRecord};

/// Number of the only log.
const LOG: u64 = 1;
/// The shard whose log it is: the lower bits of its number.
pub(crate) const SHARD: u32 = 1;

#[derive(Debug, Default)]
pub(crate) struct Log {
    records: VecDeque<LogRecord>,
    /// Sequence number of the newest record.
    end: u64,
}

impl Log {
    pub(crate) fn append(
        &mut self,
        records: impl IntoIterator<Item = LogRecord>,
    ) -> Vec<LogPosition> {
        let mut positions = Vec::new();
        for mut record in records {
            self.end += 1;
            let position = LogPosition { log: LOG, seq: self.end };
            record.position = Some(position);
            self.records.push_back(record);
            positions.push(position);
        }
        positions
    }

    pub(crate) fn trim_before(&mut self, seq: u64) {
        while self.records.front().is_some_and(|record| seq_of(record) < seq) {
            self.records.pop_front();
        }
    }

    pub(crate) const fn end(&self) -> LogPosition {
        LogPosition { log: LOG, seq: self.end }
    }

    /// Whether everything behind the position is still there.
    pub(crate) fn reaches(&self, seq: u64) -> bool {
        self.records.front().map_or(seq >= self.end, |oldest| seq_of(oldest) <= seq + 1)
    }

    pub(crate) fn after(&self, seq: u64) -> Vec<LogRecord> {
        self.records.iter().filter(|record| seq_of(record) > seq).cloned().collect()
    }
}

fn seq_of(record: &LogRecord) -> u64 {
    record.position.map_or(0, |position| position.seq)
}
