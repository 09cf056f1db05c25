-- A batch in one statement, which is one round trip and one transaction. `held` is the fence: the
-- row of the shard, locked until the batch is committed; without it nothing happens. Every row is
-- named once, but for rows of a workflow that is cleared: a row that is both deleted and put is
-- put, in whichever order the parts are done.
WITH held AS (
    SELECT 1 FROM shards
    WHERE shard = $1 AND log = $2 AND epoch = $3 AND holder <> ''
    FOR SHARE
), entries AS (
    INSERT INTO log (shard, position, at_ms, topics, subject, workflow_id, first_seq, body)
    SELECT $1, e.* FROM unnest(
        $4::bigint[], $5::bigint[], $6::integer[], $7::integer[], $8::uuid[], $9::bigint[],
        $10::bytea[]
    ) AS e
    WHERE EXISTS (SELECT 1 FROM held)
), created AS (
    INSERT INTO workflows (shard, id, namespace, name, version, phase, started_at_ms, ended_at_ms,
        idempotency_key, start_digest, fault)
    SELECT $1, w.* FROM unnest(
        $11::uuid[], $12::text[], $13::text[], $14::text[], $15::integer[], $16::bigint[],
        $17::bigint[], $18::text[], $19::bytea[], $20::bytea[]
    ) AS w
    WHERE EXISTS (SELECT 1 FROM held)
), changed AS (
    UPDATE workflows SET phase = p.phase, ended_at_ms = p.ended_at_ms, fault = p.fault,
        started_at_ms = coalesce(p.started_at_ms, workflows.started_at_ms)
    FROM unnest($21::uuid[], $22::integer[], $23::bigint[], $24::bytea[], $55::bigint[])
        AS p (id, phase, ended_at_ms, fault, started_at_ms)
    WHERE workflows.id = p.id AND EXISTS (SELECT 1 FROM held)
), tasks_gone AS (
    DELETE FROM tasks USING unnest($25::uuid[], $26::bigint[]) AS g (workflow_id, frame)
    WHERE tasks.workflow_id = g.workflow_id AND tasks.frame = g.frame
        AND EXISTS (SELECT 1 FROM held)
), tasks_put AS (
    INSERT INTO tasks (shard, workflow_id, frame, state, queue, function, version, labels, priority,
        attempt, failures, losses, lost_workers, session_id, since_ms, latest_start_ms,
        checkpoint, healing, namespace, destination, limit_values)
    SELECT $1, t.* FROM unnest(
        $27::uuid[], $28::bigint[], $29::integer[], $30::text[], $31::text[], $32::text[],
        $33::text[], $34::integer[], $35::bigint[], $36::bigint[], $37::bigint[], $38::text[],
        $39::uuid[], $40::bigint[], $41::bigint[], $42::bytea[], $43::text[], $44::text[],
        $45::text[], $46::text[]
    ) AS t
    WHERE EXISTS (SELECT 1 FROM held)
    ON CONFLICT (workflow_id, frame) DO UPDATE SET
        state = excluded.state, queue = excluded.queue, function = excluded.function,
        version = excluded.version, labels = excluded.labels, priority = excluded.priority,
        attempt = excluded.attempt, failures = excluded.failures, losses = excluded.losses,
        lost_workers = excluded.lost_workers, session_id = excluded.session_id,
        since_ms = excluded.since_ms, latest_start_ms = excluded.latest_start_ms,
        checkpoint = excluded.checkpoint, healing = excluded.healing,
        namespace = excluded.namespace, destination = excluded.destination,
        limit_values = excluded.limit_values
), timers_gone AS (
    DELETE FROM timers
    USING unnest($47::uuid[], $48::bigint[], $49::integer[]) AS g (workflow_id, frame, timer)
    WHERE timers.workflow_id = g.workflow_id AND timers.frame = g.frame AND timers.timer = g.timer
        AND EXISTS (SELECT 1 FROM held)
), timers_put AS (
    INSERT INTO timers (shard, workflow_id, frame, timer, due_ms)
    SELECT $1, t.* FROM unnest($50::uuid[], $51::bigint[], $52::integer[], $53::bigint[]) AS t
    WHERE EXISTS (SELECT 1 FROM held)
    ON CONFLICT (workflow_id, frame, timer) DO UPDATE SET due_ms = excluded.due_ms
), tasks_cleared AS (
    DELETE FROM tasks WHERE workflow_id = ANY ($54::uuid[]) AND EXISTS (SELECT 1 FROM held)
), timers_cleared AS (
    DELETE FROM timers WHERE workflow_id = ANY ($54::uuid[]) AND EXISTS (SELECT 1 FROM held)
), listeners_cleared AS (
    DELETE FROM listeners WHERE workflow_id = ANY ($54::uuid[]) AND EXISTS (SELECT 1 FROM held)
)
SELECT count(*) AS held FROM held
