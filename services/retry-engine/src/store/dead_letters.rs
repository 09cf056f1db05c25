//! Dead letters. Both databases are asked in the same words: compiled for each of them, `super`
//! says what a session and a row are.

use planaria_proto::retry::v1::{DeadLetterCause, DeadLetterState};
use planaria_proto::types::v1::DefinitionReference;
use prost::Message;
use sqlx::{Row as _, query};

use super::rows::{message, small, undecodable, unsigned};
use super::{Row, Session};
use crate::records::{DeadLetter, Fault};

/// Writes the dead letter of a fault, open. The same fault again changes nothing but that; an
/// open one of an earlier fault is resolved: the workflow cannot fault twice without going on.
pub(super) async fn write(session: &mut Session<'_>, fault: &Fault) -> Result<(), sqlx::Error> {
    let frame = fault.frame.map(i64::from);
    let given_up = query(
        "SELECT reason FROM give_ups WHERE workflow_id = $1 AND frame = coalesce($2, frame)
             ORDER BY at_ms DESC LIMIT 1",
    );
    let given_up = session.row(given_up.bind(&fault.workflow).bind(frame)).await?;
    let given_up: Option<String> = given_up.map(|row| row.try_get("reason")).transpose()?;
    let id = fault.dead_letter_id();
    let at_ms = fault.at_ms.cast_signed();
    let resolve = query(
        "UPDATE dead_letters SET state = 3, settled_at_ms = $1
         WHERE workflow_id = $2 AND state = 1 AND id <> $3",
    );
    session.execute(resolve.bind(at_ms).bind(&fault.workflow).bind(&id)).await?;
    let write = query(
        "INSERT INTO dead_letters (id, workflow_id, definition_namespace, definition_name,
             definition_version, task, cause, state, error, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9)
         ON CONFLICT (id) DO UPDATE SET state = 1, settled_at_ms = NULL",
    )
    .bind(id)
    .bind(&fault.workflow)
    .bind(&fault.definition.namespace)
    .bind(&fault.definition.name)
    .bind(&fault.definition.version)
    .bind(&fault.task)
    .bind(i64::from(i32::from(fault.cause(given_up.as_deref()))))
    .bind(fault.error.encode_to_vec())
    .bind(at_ms);
    session.execute(write).await.map(drop)
}

/// Settles the open dead letter of a workflow, unless its fault is later than `at_ms`: the log may
/// be behind what the reconciler saw.
pub(super) async fn settle_of(
    session: &mut Session<'_>,
    workflow: &str,
    state: DeadLetterState,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    let settle = query(
        "UPDATE dead_letters SET state = $1, settled_at_ms = $2
         WHERE workflow_id = $3 AND state = 1 AND created_at_ms <= $2",
    )
    .bind(number(state))
    .bind(at_ms.cast_signed())
    .bind(workflow);
    session.execute(settle).await.map(drop)
}

pub(super) async fn settle(
    session: &mut Session<'_>,
    id: &str,
    state: DeadLetterState,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    // The log may have told that the workflow goes on before the redrive's own answer came.
    let settle = query(
        "UPDATE dead_letters SET state = $1, settled_at_ms = $2
         WHERE id = $3 AND (state = 1 OR (state = 3 AND $1 = 2))",
    )
    .bind(number(state))
    .bind(at_ms.cast_signed())
    .bind(id);
    session.execute(settle).await.map(drop)
}

pub(super) async fn list(
    session: &mut Session<'_>,
    state: DeadLetterState,
    workflow: &str,
    before: Option<(u64, String)>,
    limit: u32,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let (before_ms, before_id) = before.unwrap_or((i64::MAX.cast_unsigned(), String::new()));
    let list = query(
        "SELECT * FROM dead_letters
         WHERE state = $1 AND ($2 = '' OR workflow_id = $2) AND (created_at_ms, id) < ($3, $4)
         ORDER BY created_at_ms DESC, id DESC LIMIT $5",
    )
    .bind(number(state))
    .bind(workflow)
    .bind(before_ms.cast_signed())
    .bind(before_id)
    .bind(i64::from(limit));
    session.rows(list).await?.iter().map(dead_letter).collect()
}

pub(super) async fn count(
    session: &mut Session<'_>,
    state: DeadLetterState,
) -> Result<u64, sqlx::Error> {
    let count = query("SELECT count(*) AS count FROM dead_letters WHERE state = $1");
    let row = session.row(count.bind(number(state))).await?.ok_or(sqlx::Error::RowNotFound)?;
    unsigned(&row, "count")
}

pub(super) async fn counts(session: &mut Session<'_>) -> Result<(u64, u64), sqlx::Error> {
    let counts = query(
        "SELECT (SELECT count(*) FROM retries) AS retries,
                (SELECT count(*) FROM dead_letters WHERE state = 1) AS open",
    );
    let row = session.row(counts).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok((unsigned(&row, "retries")?, unsigned(&row, "open")?))
}

pub(super) async fn get(
    session: &mut Session<'_>,
    id: &str,
) -> Result<Option<DeadLetter>, sqlx::Error> {
    let row = session.row(query("SELECT * FROM dead_letters WHERE id = $1").bind(id)).await?;
    row.as_ref().map(dead_letter).transpose()
}

pub(super) async fn open_after(
    session: &mut Session<'_>,
    workflow: &str,
    limit: u32,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let open = query(
        "SELECT workflow_id, id FROM dead_letters WHERE state = 1 AND workflow_id > $1
         ORDER BY workflow_id LIMIT $2",
    );
    let found = session.rows(open.bind(workflow).bind(i64::from(limit))).await?;
    found.iter().map(|row| Ok((row.try_get("workflow_id")?, row.try_get("id")?))).collect()
}

pub(super) async fn clear(
    session: &mut Session<'_>,
    settled_max: u32,
    before_ms: u64,
) -> Result<(), sqlx::Error> {
    let clear = query(
        "DELETE FROM dead_letters WHERE state <> 1 AND (settled_at_ms < $1 OR id IN (
             SELECT id FROM dead_letters WHERE state <> 1
             ORDER BY settled_at_ms DESC LIMIT $2 OFFSET $3))",
    )
    .bind(before_ms.cast_signed())
    .bind(i64::MAX)
    .bind(i64::from(settled_max));
    session.execute(clear).await.map(drop)
}

fn number(state: DeadLetterState) -> i64 {
    i64::from(i32::from(state))
}

fn dead_letter(row: &Row) -> Result<DeadLetter, sqlx::Error> {
    let number = |column| small(row, column).map(u32::cast_signed);
    let settled_at_ms: Option<i64> = row.try_get("settled_at_ms")?;
    let cause = DeadLetterCause::try_from(number("cause")?);
    let state = DeadLetterState::try_from(number("state")?);
    Ok(DeadLetter {
        id: row.try_get("id")?,
        workflow: row.try_get("workflow_id")?,
        definition: DefinitionReference {
            namespace: row.try_get("definition_namespace")?,
            name: row.try_get("definition_name")?,
            version: row.try_get("definition_version")?,
        },
        task: row.try_get("task")?,
        cause: cause.map_err(|error| undecodable("cause", error))?,
        state: state.map_err(|error| undecodable("state", error))?,
        error: message(row, "error")?,
        created_at_ms: unsigned(row, "created_at_ms")?,
        settled_at_ms: settled_at_ms.map(i64::cast_unsigned),
    })
}
