//! Where a reader of the log is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use planaria_proto::orchestrator::v1::LogPosition;

use crate::Start;

/// How far a reader has read: the last record of each shard's log. Kept as text, and opaque to
/// whoever keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogCursor {
    /// The last log and the last sequence number in it that were read, by shard.
    read: BTreeMap<u32, (u64, u64)>,
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotACursor;

/// The shard of a log: the lower 16 bits of its number. Later logs of a shard have higher numbers.
const fn shard_of(log: u64) -> u32 {
    (log & 0xffff) as u32
}

impl LogCursor {
    /// Behind this record and all before it in its shard.
    #[must_use]
    pub fn behind(position: LogPosition) -> Self {
        let LogPosition { log, seq } = position;
        Self { read: BTreeMap::from([(shard_of(log), (log, seq))]) }
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// The last record of a shard that was read.
    #[must_use]
    pub fn last(&self, shard: u32) -> Option<LogPosition> {
        self.read.get(&shard).map(|&(log, seq)| LogPosition { log, seq })
    }

    /// Whether a record was read.
    #[must_use]
    pub fn covers(&self, position: LogPosition) -> bool {
        let LogPosition { log, seq } = position;
        // Logs of a shard come one after the other: whoever reads a later one has read the
        // earlier ones.
        self.read.get(&shard_of(log)).is_some_and(|last| (log, seq) <= *last)
    }

    /// Whether all that `other` covers was read.
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        other.read.values().all(|&(log, seq)| self.covers(LogPosition { log, seq }))
    }

    /// A record was read, and all before it in its shard.
    pub fn advance(&mut self, position: LogPosition) {
        if !self.covers(position) {
            let LogPosition { log, seq } = position;
            self.read.insert(shard_of(log), (log, seq));
        }
    }

    /// All that `other` covers was read.
    pub fn advance_to(&mut self, other: &Self) {
        for &(log, seq) in other.read.values() {
            self.advance(LogPosition { log, seq });
        }
    }

    /// This cursor, but directly before a record that it covers or that comes next.
    #[must_use]
    pub fn before(&self, position: LogPosition) -> Self {
        let mut read = self.read.clone();
        let LogPosition { log, seq } = position;
        read.insert(shard_of(log), (log, seq.saturating_sub(1)));
        Self { read }
    }

    /// Where reading goes on.
    #[must_use]
    pub fn start(&self) -> Start {
        if self.is_empty() { Start::Oldest } else { Start::After(self.clone()) }
    }
}

impl From<LogPosition> for LogCursor {
    fn from(position: LogPosition) -> Self {
        Self::behind(position)
    }
}

impl fmt::Display for LogCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (log, seq)) in self.read.values().enumerate() {
            let gap = if number == 0 { "" } else { "_" };
            write!(formatter, "{gap}{log}-{seq}")?;
        }
        Ok(())
    }
}

impl FromStr for LogCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut read = BTreeMap::new();
        for part in text.split('_').filter(|_| !text.is_empty()) {
            let (log, seq) = part.split_once('-').ok_or(NotACursor)?;
            let number = |text: &str| {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                if digits { text.parse::<u64>().map_err(|_| NotACursor) } else { Err(NotACursor) }
            };
            let (log, seq) = (number(log)?, number(seq)?);
            if read.insert(shard_of(log), (log, seq)).is_some() {
                return Err(NotACursor);
            }
        }
        Ok(Self { read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(log: u64, seq: u64) -> LogPosition {
        LogPosition { log, seq }
    }

    #[test]
    fn cursors_are_read_as_they_are_written() {
        for text in ["", "1-7", "1-7_65538-0", "2-18446744073709551615"] {
            assert_eq!(text.parse::<LogCursor>().unwrap().to_string(), text);
        }
        for text in ["1", "1-", "-1", "1-+7", "1-7_", "1-7_1-8", "1-7-8", "a-7", "start"] {
            assert!(text.parse::<LogCursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_covers_what_came_before_it_in_each_shard() {
        // The second log of shard 7, and later ones.
        let log = |number: u64| number << 16 | 7;
        let mut cursor = LogCursor::behind(at(log(2), 7));
        assert!(cursor.covers(at(log(2), 7)) && cursor.covers(at(log(1), 99)));
        assert!(!cursor.covers(at(log(2), 8)) && !cursor.covers(at(log(3), 1)));
        assert!(!cursor.covers(at(1 << 16 | 8, 1)));
        assert_eq!(cursor.before(at(log(2), 7)), LogCursor::behind(at(log(2), 6)));
        cursor.advance(at(log(2), 5));
        assert_eq!(cursor, LogCursor::behind(at(log(2), 7)));
        cursor.advance(at(3 << 16 | 8, 4));
        cursor.advance_to(&LogCursor::behind(at(log(3), 1)));
        assert_eq!(
            (cursor.last(7), cursor.last(8)),
            (Some(at(log(3), 1)), Some(at(3 << 16 | 8, 4)))
        );
        assert!(cursor.reaches(&LogCursor::behind(at(log(2), 9))));
        assert!(!LogCursor::default().reaches(&cursor) && cursor.reaches(&LogCursor::default()));
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        assert_eq!(cursor.start(), Start::After(cursor));
    }
}
