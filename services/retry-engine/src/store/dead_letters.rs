//! Dead letters. Both databases are asked in the same words: compiled for each of them, `super`
//! says what a session and a row are.

use planaria_proto::retry::v1::dead_letter::Loss;
use planaria_proto::retry::v1::{
    DeadLetter as DeadLetterMessage, DeadLetterCause, DeadLetterState,
};
use planaria_proto::types::v1::DefinitionReference;
use prost::Message;
use sqlx::{Row as _, query};

use super::rows::{message, small, undecodable, unsigned};
use super::{Row, Session};
use crate::records::{DeadLetter, Fault, Filter, Group};

/// Writes the dead letter of a fault, open. The same fault again changes nothing but that, and
/// what is known better by now; an open one of an earlier fault is resolved: the workflow cannot
/// fault twice without going on.
pub(super) async fn write(session: &mut Session<'_>, fault: &Fault) -> Result<(), sqlx::Error> {
    let frame = fault.frame.map(i64::from);
    let given_up = query(
        "SELECT reason, function FROM give_ups
         WHERE workflow_id = $1 AND frame = coalesce($2, frame) ORDER BY at_ms DESC LIMIT 1",
    );
    let given_up = session.row(given_up.bind(&fault.workflow).bind(frame)).await?;
    let reason: Option<String> = given_up.as_ref().map(|row| row.try_get("reason")).transpose()?;
    let mut function: String =
        given_up.map(|row| row.try_get("function")).transpose()?.unwrap_or_default();
    let cause = fault.cause(reason.as_deref());
    let losses = query(
        "SELECT function, loss FROM losses WHERE workflow_id = $1 AND frame = coalesce($2, frame)
         ORDER BY at_ms, attempt",
    );
    let mut evidence = DeadLetterMessage::default();
    if cause == DeadLetterCause::Quarantined || frame.is_some() {
        for row in session.rows(losses.bind(&fault.workflow).bind(frame)).await? {
            evidence.losses.push(message(&row, "loss")?);
            function = row.try_get("function")?;
        }
    }
    let id = fault.dead_letter_id();
    let at_ms = fault.at_ms.cast_signed();
    let resolve = query(
        "UPDATE dead_letters SET state = 3, settled_at_ms = $1
         WHERE workflow_id = $2 AND state = 1 AND id <> $3",
    );
    session.execute(resolve.bind(at_ms).bind(&fault.workflow).bind(&id)).await?;
    let write = query(
        "INSERT INTO dead_letters (id, workflow_id, definition_namespace, definition_name,
             definition_version, task, cause, state, error, created_at_ms, fingerprint, function,
             losses)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10, $11, $12)
         ON CONFLICT (id) DO UPDATE SET state = 1, settled_at_ms = NULL,
             cause = CASE WHEN excluded.cause <> 4 THEN excluded.cause
                 ELSE dead_letters.cause END,
             function = CASE WHEN excluded.function <> '' THEN excluded.function
                 ELSE dead_letters.function END,
             losses = CASE WHEN length(excluded.losses) > 0 THEN excluded.losses
                 ELSE dead_letters.losses END",
    )
    .bind(id)
    .bind(&fault.workflow)
    .bind(&fault.definition.namespace)
    .bind(&fault.definition.name)
    .bind(&fault.definition.version)
    .bind(&fault.task)
    .bind(i64::from(i32::from(cause)))
    .bind(fault.error.encode_to_vec())
    .bind(at_ms)
    .bind(fault.fingerprint())
    .bind(function)
    .bind(evidence.encode_to_vec());
    session.execute(write).await.map(drop)
}

/// Keeps what is known of a worker that was lost with a task.
pub(super) async fn put_loss(
    session: &mut Session<'_>,
    (workflow, frame, function): (&str, u32, &str),
    loss: &Loss,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    let put = query(
        "INSERT INTO losses (workflow_id, frame, attempt, function, loss, at_ms)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (workflow_id, frame, attempt) DO NOTHING",
    )
    .bind(workflow)
    .bind(i64::from(frame))
    .bind(i64::from(loss.attempt))
    .bind(function)
    .bind(loss.encode_to_vec())
    .bind(at_ms.cast_signed());
    session.execute(put).await.map(drop)
}

pub(super) async fn clear_losses(
    session: &mut Session<'_>,
    before_ms: u64,
) -> Result<(), sqlx::Error> {
    let clear = query("DELETE FROM losses WHERE at_ms < $1").bind(before_ms.cast_signed());
    session.execute(clear).await.map(drop)
}

/// Settles the open dead letter of a workflow, unless its fault is later than `at_ms`: the log may
/// be behind what the reconciler saw. One that was being redriven when it was found resolved was
/// redriven.
pub(super) async fn settle_of(
    session: &mut Session<'_>,
    workflow: &str,
    state: DeadLetterState,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    let settle = query(
        "UPDATE dead_letters SET state = $1, settled_at_ms = $2
         WHERE workflow_id = $3 AND created_at_ms <= $2 AND (state = 1
             OR (state = 3 AND $1 = 2 AND in_doubt_since_ms IS NOT NULL))",
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

pub(super) async fn begin_redrive(
    session: &mut Session<'_>,
    id: &str,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    let begin = query(
        "UPDATE dead_letters SET in_doubt_since_ms = coalesce(in_doubt_since_ms, $1)
         WHERE id = $2 AND state = 1",
    );
    session.execute(begin.bind(at_ms.cast_signed()).bind(id)).await.map(drop)
}

/// A statement about the dead letters of a state that a filter names, which take its first nine
/// values.
macro_rules! filtered {
    ($before:literal, $behind:literal, $state:expr, $filter:expr) => {
        query(concat!(
            $before,
            " FROM dead_letters WHERE state = $1
                 AND ($2 = '' OR definition_namespace = $2) AND ($3 = '' OR definition_name = $3)
                 AND ($4 = '' OR definition_version = $4) AND ($5 = '' OR function = $5)
                 AND ($6 = '' OR fingerprint = $6) AND ($7 = '' OR workflow_id = $7)
                 AND created_at_ms >= $8 AND created_at_ms < $9 ",
            $behind
        ))
        .bind(number($state))
        .bind(&$filter.namespace)
        .bind(&$filter.definition)
        .bind(&$filter.definition_version)
        .bind(&$filter.function)
        .bind(&$filter.fingerprint)
        .bind(&$filter.workflow)
        .bind($filter.from_ms.cast_signed())
        .bind($filter.before_ms.map_or(i64::MAX, u64::cast_signed))
    };
}

pub(super) async fn list(
    session: &mut Session<'_>,
    state: DeadLetterState,
    filter: &Filter,
    before: Option<(u64, String)>,
    limit: u32,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let (before_ms, before_id) = before.unwrap_or((i64::MAX.cast_unsigned(), String::new()));
    let list = filtered!(
        "SELECT *",
        "AND (created_at_ms, id) < ($10, $11) ORDER BY created_at_ms DESC, id DESC LIMIT $12",
        state,
        filter
    )
    .bind(before_ms.cast_signed())
    .bind(before_id)
    .bind(i64::from(limit));
    session.rows(list).await?.iter().map(dead_letter).collect()
}

pub(super) async fn count(
    session: &mut Session<'_>,
    state: DeadLetterState,
    filter: &Filter,
) -> Result<u64, sqlx::Error> {
    let count = filtered!("SELECT count(*) AS count", "", state, filter);
    unsigned(&session.row(count).await?.ok_or(sqlx::Error::RowNotFound)?, "count")
}

pub(super) async fn groups(
    session: &mut Session<'_>,
    state: DeadLetterState,
    filter: &Filter,
    limit: u32,
) -> Result<Vec<Group>, sqlx::Error> {
    let grouped = filtered!(
        "SELECT fingerprint, count(*) AS count, min(created_at_ms) AS first_ms,
             max(created_at_ms) AS last_ms,
             count(DISTINCT definition_namespace || '/' || definition_name) AS definitions",
        "GROUP BY fingerprint ORDER BY count(*) DESC, max(created_at_ms) DESC LIMIT $10",
        state,
        filter
    );
    let mut groups = Vec::new();
    for row in session.rows(grouped.bind(i64::from(limit))).await? {
        let filter = Filter { fingerprint: row.try_get("fingerprint")?, ..filter.clone() };
        // It may be settled since.
        let Some(newest) = list(session, state, &filter, None, 1).await?.pop() else { continue };
        groups.push(Group {
            count: unsigned(&row, "count")?,
            first_ms: unsigned(&row, "first_ms")?,
            last_ms: unsigned(&row, "last_ms")?,
            definitions: unsigned(&row, "definitions")?,
            newest,
        });
    }
    Ok(groups)
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
    let in_doubt_since_ms: Option<i64> = row.try_get("in_doubt_since_ms")?;
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
        fingerprint: row.try_get("fingerprint")?,
        function: row.try_get("function")?,
        losses: message::<DeadLetterMessage>(row, "losses")?.losses,
        in_doubt_since_ms: in_doubt_since_ms.map(i64::cast_unsigned),
    })
}
