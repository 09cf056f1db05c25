//! Where a reader of the log is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use planaria_proto::orchestrator::v1::LogPosition;

use crate::Start;

/// How far a reader has read: for each log, the last record. Kept as text, and opaque to whoever
/// keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogCursor {
    /// The last sequence number read, by log.
    read: BTreeMap<u64, u64>,
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotACursor;

impl LogCursor {
    /// Behind this record and all before it.
    #[must_use]
    pub fn behind(position: LogPosition) -> Self {
        Self { read: BTreeMap::from([(position.log, position.seq)]) }
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Whether a record was read.
    #[must_use]
    pub fn covers(&self, position: LogPosition) -> bool {
        match self.read.get(&position.log) {
            Some(last) => position.seq <= *last,
            // Logs come one after the other: whoever reads a later one has read the earlier ones.
            None => self.read.keys().any(|known| *known > position.log),
        }
    }

    /// Whether all that `other` covers was read.
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        other.read.iter().all(|(&log, &seq)| self.covers(LogPosition { log, seq }))
    }

    /// A record was read, and all before it.
    pub fn advance(&mut self, position: LogPosition) {
        if self.covers(position) {
            return;
        }
        // Logs come one after the other: behind a record of a later one, the earlier are over.
        self.read.retain(|log, _| *log >= position.log);
        self.read.insert(position.log, position.seq);
    }

    /// All that `other` covers was read.
    pub fn advance_to(&mut self, other: &Self) {
        for (&log, &seq) in &other.read {
            self.advance(LogPosition { log, seq });
        }
    }

    /// This cursor, but directly before a record that it covers or that comes next.
    #[must_use]
    pub fn before(&self, position: LogPosition) -> Self {
        let mut read = self.read.clone();
        read.insert(position.log, position.seq.saturating_sub(1));
        Self { read }
    }

    /// Where reading goes on.
    #[must_use]
    pub fn start(&self) -> Start {
        let last = self.read.last_key_value();
        last.map_or(Start::Oldest, |(&log, &seq)| Start::After(LogPosition { log, seq }))
    }
}

impl From<LogPosition> for LogCursor {
    fn from(position: LogPosition) -> Self {
        Self::behind(position)
    }
}

impl fmt::Display for LogCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (log, seq)) in self.read.iter().enumerate() {
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
            if read.insert(number(log)?, number(seq)?).is_some() {
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
        for text in ["", "1-7", "1-7_3-0", "2-18446744073709551615"] {
            assert_eq!(text.parse::<LogCursor>().unwrap().to_string(), text);
        }
        for text in ["1", "1-", "-1", "1-+7", "1-7_", "1-7_1-8", "1-7-8", "a-7", "start"] {
            assert!(text.parse::<LogCursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_covers_what_came_before_it() {
        let mut cursor = LogCursor::behind(at(2, 7));
        assert!(cursor.covers(at(2, 7)) && cursor.covers(at(1, 99)));
        assert!(!cursor.covers(at(2, 8)) && !cursor.covers(at(3, 1)));
        assert_eq!(cursor.before(at(2, 7)), LogCursor::behind(at(2, 6)));
        cursor.advance(at(2, 5));
        assert_eq!(cursor, LogCursor::behind(at(2, 7)));
        cursor.advance_to(&LogCursor::behind(at(3, 1)));
        assert!(cursor.reaches(&LogCursor::behind(at(2, 9))));
        assert!(!LogCursor::default().reaches(&cursor) && cursor.reaches(&LogCursor::default()));
        assert_eq!(cursor.start(), Start::After(at(3, 1)));
    }
}
