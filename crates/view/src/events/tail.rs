//! The last events, newest first, of a stream that never ends.

use std::collections::VecDeque;
use std::sync::Arc;

use planaria_proto::notification::v1::subscribe_response::Delivery;
use planaria_proto::types::v1::CloudEvent;

/// So many are kept; a browser that shows more gets slow, and nobody reads them.
pub const SHOWN_MAX: usize = 1000;

/// An event in the list.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Counts up; the same event has the same number for as long as it is shown.
    pub number: u64,
    /// The event itself.
    pub event: CloudEvent,
}

/// The last events, and those that came while somebody reads.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    shown: VecDeque<Arc<Row>>,
    /// Came and are not shown yet; the newest last.
    waiting: VecDeque<Arc<Row>>,
    came: u64,
    cursor: String,
}

impl Tail {
    /// Begins behind a cursor, or at `start`.
    #[must_use]
    pub fn from(cursor: &str) -> Self {
        Self { cursor: cursor.to_owned(), ..Self::default() }
    }

    /// Keeps what came, until it is shown.
    pub fn push(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.cursor = delivery.cursor;
            let row = Row { number: self.came, event: delivery.event.unwrap_or_default() };
            self.came += 1;
            self.waiting.push_back(Arc::new(row));
        }
        let surplus = self.waiting.len().saturating_sub(SHOWN_MAX);
        self.waiting.drain(..surplus);
    }

    /// Shows what waits.
    pub fn show(&mut self) {
        for row in self.waiting.drain(..) {
            self.shown.push_front(row);
        }
        self.shown.truncate(SHOWN_MAX);
    }

    /// Where the stream goes on if it breaks.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Goes on elsewhere: what is in between is lost.
    pub fn go_on_from(&mut self, cursor: &str) {
        cursor.clone_into(&mut self.cursor);
    }

    /// Newest first.
    #[must_use]
    pub fn shown(&self) -> Vec<Arc<Row>> {
        self.shown.iter().cloned().collect()
    }

    /// How many wait to be shown.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many came since the stream was opened first.
    #[must_use]
    pub fn came(&self) -> u64 {
        self.came
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(numbers: std::ops::Range<u64>) -> Vec<Delivery> {
        numbers.map(|number| Delivery { cursor: number.to_string(), event: None }).collect()
    }

    #[test]
    fn the_newest_is_first_and_the_oldest_is_forgotten() {
        let mut tail = Tail::from("start");
        assert_eq!(tail.cursor(), "start");
        tail.push(deliveries(0..3));
        assert_eq!((tail.shown().len(), tail.waiting()), (0, 3));
        tail.show();
        let numbers: Vec<u64> = tail.shown().iter().map(|row| row.number).collect();
        assert_eq!(numbers, [2, 1, 0]);
        tail.push(deliveries(3..1500));
        assert_eq!(tail.waiting(), SHOWN_MAX);
        tail.show();
        assert_eq!(tail.shown().len(), SHOWN_MAX);
        assert_eq!(tail.shown()[0].number, 1499);
        assert_eq!((tail.cursor(), tail.came()), ("1499", 1500));
    }
}
