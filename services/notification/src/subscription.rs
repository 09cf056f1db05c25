//! One subscription: from its cursor to the present, then with all others.

use std::sync::Arc;

use planaria_log_tail::{LogCursor, LogTail, Start, TailSettings};
use planaria_proto::notification::v1::SubscribeResponse;
use planaria_proto::notification::v1::subscribe_response::Delivery;
use planaria_proto::orchestrator::v1::{LogPosition, LogRecord};
use planaria_runtime::ServiceChannel;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::events::{Draft, drafts};
use crate::filter::Filter;
use crate::gauges::Gauges;
use crate::shared_tail::{Seat, Stretch};
use crate::tasks::Tasks;

/// The reader is gone.
struct Gone;

pub(crate) struct Subscription {
    pub(crate) filter: Filter,
    pub(crate) seat: Seat,
    /// Its own reading of the log, while it is behind.
    pub(crate) own: Option<LogTail>,
    /// What was delivered before.
    pub(crate) delivered: Option<Cursor>,
    pub(crate) source: Source,
    pub(crate) readers: mpsc::Sender<Result<SubscribeResponse, Status>>,
    pub(crate) deliveries_max: usize,
    pub(crate) tasks: Tasks,
    pub(crate) gauges: Gauges,
}

/// How to read the log on its own.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) channel: ServiceChannel,
    pub(crate) settings: TailSettings,
}

impl Source {
    pub(crate) fn read(&self, start: Start) -> LogTail {
        LogTail::new(self.channel.clone(), &[], start, self.settings.clone())
    }
}

/// What comes next.
enum Next {
    Own(Vec<LogRecord>, LogCursor),
    Shared(Arc<Stretch>),
    Behind,
    Trimmed,
    End,
}

impl Subscription {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.gauges.subscribers.inc();
        let readers = self.readers.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = readers.closed() => {}
            _gone = self.follow() => {}
        }
        self.gauges.subscribers.dec();
    }

    async fn follow(&mut self) -> Result<(), Gone> {
        // Everything up to here was read; none: nothing yet, from the oldest on.
        let mut seen = match &self.own {
            Some(own) => Some(own.cursor().clone()).filter(|cursor| !cursor.is_empty()),
            None => Some(self.seat.position.clone()),
        };
        loop {
            match self.next().await {
                Next::Own(records, end) => {
                    self.deliver(&records, seen.as_ref()).await?;
                    seen.get_or_insert_default().advance_to(&end);
                }
                Next::Shared(stretch) => seen = self.take_shared(&stretch, seen).await?,
                Next::Behind => self.fall_behind(seen.as_ref()),
                Next::Trimmed => {
                    let _gone = self.readers.send(Err(Error::CursorTooOld.into())).await;
                    return Ok(());
                }
                Next::End => return Ok(()),
            }
        }
    }

    async fn next(&mut self) -> Next {
        let shared = async |seat: &mut Seat| match seat.stretches.recv().await {
            Ok(stretch) => Next::Shared(stretch),
            Err(RecvError::Lagged(_)) => Next::Behind,
            Err(RecvError::Closed) => Next::End,
        };
        let Some(own) = &mut self.own else { return shared(&mut self.seat).await };
        tokio::select! {
            read = own.next() => match read {
                Ok(batch) => Next::Own(batch.records, batch.position.into()),
                Err(_trimmed) => Next::Trimmed,
            },
            next = shared(&mut self.seat) => next,
        }
    }

    /// Delivers a stretch of the shared reading if it joins what was seen. If it lies ahead, this
    /// reader reads on its own until a stretch joins.
    async fn take_shared(
        &mut self,
        stretch: &Stretch,
        seen: Option<LogCursor>,
    ) -> Result<Option<LogCursor>, Gone> {
        let Some(mut seen) = seen.clone().filter(|seen| seen.reaches(&stretch.after)) else {
            if self.own.is_none() {
                self.fall_behind(seen.as_ref());
            }
            return Ok(seen);
        };
        if self.own.take().is_some() {
            self.gauges.caught_up.inc();
        }
        self.deliver(&stretch.records, Some(&seen)).await?;
        seen.advance_to(&stretch.end);
        Ok(Some(seen))
    }

    fn fall_behind(&mut self, seen: Option<&LogCursor>) {
        if self.own.is_none() {
            self.gauges.fell_behind.inc();
            self.own = Some(self.source.read(seen.map_or(Start::Oldest, LogCursor::start)));
        }
    }

    /// Delivers the wanted events of records that were not seen before.
    async fn deliver(&self, records: &[LogRecord], seen: Option<&LogCursor>) -> Result<(), Gone> {
        let mut deliveries = Vec::new();
        let mut read = seen.cloned().unwrap_or_default();
        let wants_tasks = self.filter.wants_tasks();
        for record in records {
            let position = record.position.unwrap_or_default();
            if seen.is_some_and(|seen| seen.covers(position)) {
                continue;
            }
            if !self.filter.wants_record(record) {
                read.advance(position);
                continue;
            }
            if wants_tasks {
                self.tasks.note(record);
            }
            let drafts = drafts(record);
            let last = drafts.last().map(|draft| draft.index);
            for draft in drafts {
                if !self.wanted(&draft, position) {
                    continue;
                }
                let index = draft.index;
                let event = self.tasks.finish(draft, record).await;
                if !self.filter.wants_text(&event) {
                    continue;
                }
                let cursor = behind(&read, position, (Some(index) != last).then_some(index));
                deliveries.push(Delivery { cursor: cursor.write(), event: Some(event) });
                if deliveries.len() >= self.deliveries_max.max(1) {
                    self.send(std::mem::take(&mut deliveries)).await?;
                }
            }
            read.advance(position);
        }
        if deliveries.is_empty() { Ok(()) } else { self.send(deliveries).await }
    }

    fn wanted(&self, draft: &Draft, position: LogPosition) -> bool {
        let delivered = self.delivered.as_ref();
        self.filter.wants_type(draft.kind())
            && !delivered.is_some_and(|cursor| cursor.covers(position, draft.index))
    }

    async fn send(&self, deliveries: Vec<Delivery>) -> Result<(), Gone> {
        self.gauges.delivered.inc_by(deliveries.len() as u64);
        self.readers.send(Ok(SubscribeResponse { deliveries })).await.map_err(|_| Gone)
    }
}

/// The cursor behind an event of a record; without a number, behind the whole record.
fn behind(read: &LogCursor, position: LogPosition, index: Option<usize>) -> Cursor {
    match index {
        Some(index) => Cursor { read: read.before(position), part: Some((position, index)) },
        None => {
            let mut read = read.clone();
            read.advance(position);
            Cursor { read, part: None }
        }
    }
}
