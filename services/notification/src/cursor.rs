//! Cursors: opaque to clients, places in the log to us.

use planaria_log_tail::LogCursor;
use planaria_proto::orchestrator::v1::LogPosition;

use crate::error::Error;

/// The first part of every cursor; another format gets another one.
const VERSION: &str = "2";

/// Behind an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Behind these records.
    pub(crate) read: LogCursor,
    /// And behind a part of the one that comes next in a log: its place, and the event's number.
    pub(crate) part: Option<(LogPosition, usize)>,
}

impl Cursor {
    pub(crate) fn write(&self) -> String {
        let read = &self.read;
        match self.part {
            Some((LogPosition { log, seq }, index)) => {
                format!("{VERSION}.{read}.{log}-{seq}-{index}")
            }
            None => format!("{VERSION}.{read}"),
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
        let read: LogCursor = parts.next()?.parse().ok()?;
        let part = match parts.next() {
            Some(part) => {
                let (position, index) = part.rsplit_once('-')?;
                let (log, seq) = position.split_once('-')?;
                let position = LogPosition { log: log.parse().ok()?, seq: seq.parse().ok()? };
                Some((position, index.parse().ok()?))
            }
            None => None,
        };
        let sound = parts.next().is_none() && !read.is_empty();
        sound.then_some(Self { read, part })
    }

    /// Whether the event with this place was delivered before the cursor was.
    pub(crate) fn covers(&self, position: LogPosition, index: usize) -> bool {
        self.read.covers(position)
            || self.part.is_some_and(|(part, last)| part == position && index <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: LogPosition = LogPosition { log: 2, seq: 7 };

    #[test]
    fn cursors_are_read_as_they_are_written() {
        for part in [None, Some((AT, 0)), Some((AT, 12))] {
            let cursor = Cursor { read: LogCursor::behind(AT), part };
            assert_eq!(Cursor::read(&cursor.write()).unwrap(), cursor);
        }
        for text in [
            "",
            "start",
            "2",
            "2.",
            "1.2.7",
            "2.2",
            "2.2--7",
            "2.2-7.",
            "2.2-7.1-1",
            "2.2-7.1-1-1.",
        ] {
            assert!(Cursor::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_covers_what_came_before_it() {
        let whole = Cursor { read: LogCursor::behind(AT), part: None };
        let before = LogCursor::behind(AT).before(AT);
        let part = Cursor { read: before, part: Some((AT, 1)) };
        let later = LogPosition { log: 3, seq: 1 };
        assert!(whole.covers(AT, 9) && part.covers(AT, 1) && !part.covers(AT, 2));
        assert!(part.covers(LogPosition { log: 2, seq: 6 }, 9) && !whole.covers(later, 0));
    }
}
