//! What the log made of the records, and the place in it. Compiled for each database: `super`
//! says what a session is.

use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::retry::v1::DeadLetterState;
use sqlx::query;

use super::rows::unsigned;
use super::{Session, dead_letters, retries};
use crate::records::Change;

pub(super) async fn position(
    session: &mut Session<'_>,
) -> Result<Option<LogPosition>, sqlx::Error> {
    let row = session.row(query("SELECT log, seq FROM position")).await?;
    row.map(|row| Ok(LogPosition { log: unsigned(&row, "log")?, seq: unsigned(&row, "seq")? }))
        .transpose()
}

pub(super) async fn record(
    session: &mut Session<'_>,
    changes: &[Change],
    position: LogPosition,
) -> Result<(), sqlx::Error> {
    for change in changes {
        apply(session, change).await?;
    }
    let place = query(
        "INSERT INTO position (id, log, seq) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET log = excluded.log, seq = excluded.seq",
    );
    let place = place.bind(position.log.cast_signed()).bind(position.seq.cast_signed());
    session.execute(place).await.map(drop)
}

async fn apply(session: &mut Session<'_>, change: &Change) -> Result<(), sqlx::Error> {
    match change {
        Change::Decided(retry) => retries::put(session, retry).await,
        Change::Faulted(fault) => {
            dead_letters::write(session, fault).await?;
            retries::forget(session, &fault.workflow).await
        }
        Change::WentOn { workflow, redriven, at_ms } => {
            let state =
                if *redriven { DeadLetterState::Redriven } else { DeadLetterState::Resolved };
            dead_letters::settle_of(session, workflow, state, *at_ms).await?;
            retries::forget(session, workflow).await
        }
        Change::Over { workflow, at_ms } => {
            let state = DeadLetterState::Resolved;
            dead_letters::settle_of(session, workflow, state, *at_ms).await?;
            retries::forget(session, workflow).await
        }
    }
}
