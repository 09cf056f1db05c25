//! Cursors: opaque to clients, places in the log to us.

use planaria_proto::orchestrator::v1::LogPosition;

use crate::error::Error;

/// The first part of every cursor; another format gets another one.
const VERSION: &str = "1";

/// Behind an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) position: LogPosition,
    /// Behind the event with this number in the record; none: behind the whole record.
    pub(crate) index: Option<usize>,
}

impl Cursor {
    pub(crate) fn write(self) -> String {
        let LogPosition { log, seq } = self.position;
        match self.index {
            Some(index) => format!("{VERSION}.{log}.{seq}.{index}"),
            None => format!("{VERSION}.{log}.{seq}"),
        }
    }

    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        Self::parse(text).ok_or_else(|| Error::CursorInvalid(text.chars().take(64).collect()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        if parts.next()? != VERSION {
            return None;
        }
        let log = parts.next()?.parse().ok()?;
        let seq = parts.next()?.parse().ok()?;
        let index = parts.next().map(str::parse).transpose().ok()?;
        let position = LogPosition { log, seq };
        parts.next().is_none().then_some(Self { position, index })
    }

    /// Where reading goes on. Behind a part of a record, the record is read again.
    pub(crate) fn read_after(self) -> LogPosition {
        let LogPosition { log, seq } = self.position;
        LogPosition { log, seq: seq.saturating_sub(u64::from(self.index.is_some())) }
    }

    /// Whether the event with this place was delivered before the cursor was.
    pub(crate) fn covers(self, position: LogPosition, index: usize) -> bool {
        match order(position).cmp(&order(self.position)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => self.index.is_none_or(|last| index <= last),
            std::cmp::Ordering::Greater => false,
        }
    }
}

/// Positions in their order: logs are numbered as they begin.
pub(crate) const fn order(position: LogPosition) -> (u64, u64) {
    (position.log, position.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: LogPosition = LogPosition { log: 2, seq: 7 };

    #[test]
    fn cursors_are_read_as_they_are_written() {
        for index in [None, Some(0), Some(12)] {
            let cursor = Cursor { position: AT, index };
            assert_eq!(Cursor::read(&cursor.write()).unwrap(), cursor);
        }
        for text in ["", "start", "1", "1.2", "2.2.7", "1.2.-7", "1.2.7.", "1.2.7.1.1", "1.a.7"] {
            assert!(Cursor::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_covers_what_came_before_it() {
        let whole = Cursor { position: AT, index: None };
        let part = Cursor { position: AT, index: Some(1) };
        let later = LogPosition { log: 3, seq: 1 };
        assert!(whole.covers(AT, 9) && part.covers(AT, 1) && !part.covers(AT, 2));
        assert!(part.covers(LogPosition { log: 2, seq: 6 }, 9) && !whole.covers(later, 0));
        assert_eq!((whole.read_after().seq, part.read_after().seq), (7, 6));
    }
}
