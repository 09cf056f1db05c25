CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

-- One log per engine that worked on a shard.
CREATE TABLE logs (
    log        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Who works on which shard. A commit holds the row while it is made.
CREATE TABLE shards (
    shard     INTEGER PRIMARY KEY,
    log       BIGINT  NOT NULL UNIQUE,
    -- '' = nobody.
    holder    TEXT    NOT NULL,
    address   TEXT    NOT NULL,
    beat      BIGINT  NOT NULL,
    wanted_by TEXT    NOT NULL,
    -- Raised by a writer that does not know what became of its last commit: what is still under
    -- way then comes too late.
    epoch     BIGINT  NOT NULL
);

-- History, outbox and log in one: appended in commit order, position = log << 40 | seq.
CREATE TABLE log (
    shard       INTEGER NOT NULL,
    position    BIGINT  NOT NULL,
    at_ms       BIGINT  NOT NULL,
    topics      INTEGER NOT NULL,
    -- 0 workflow, 1 healing, 2 session
    subject     INTEGER NOT NULL,
    workflow_id UUID,
    first_seq   BIGINT,
    body        BYTEA   NOT NULL,
    PRIMARY KEY (shard, position)
);
-- The fence of every step: two steps cannot have the same number.
CREATE UNIQUE INDEX log_history ON log (workflow_id, first_seq) WHERE workflow_id IS NOT NULL;

CREATE TABLE definitions (
    namespace       TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    version         TEXT   NOT NULL,
    source          BYTEA  NOT NULL,
    digest          TEXT   NOT NULL,
    published_at_ms BIGINT NOT NULL,
    PRIMARY KEY (namespace, name, version)
);

CREATE TABLE workflows (
    id              UUID PRIMARY KEY,
    shard           INTEGER NOT NULL,
    namespace       TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    phase           INTEGER NOT NULL,
    started_at_ms   BIGINT  NOT NULL,
    ended_at_ms     BIGINT,
    idempotency_key TEXT,
    start_digest    BYTEA,
    -- An encoded WorkflowFaulted, while it is faulted.
    fault           BYTEA
);
CREATE UNIQUE INDEX workflows_key ON workflows (idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- 5 cancelled, 7 completed: the many that are over cost this index nothing.
CREATE INDEX workflows_open ON workflows (phase, id) WHERE phase NOT IN (5, 7);

CREATE TABLE tasks (
    workflow_id     UUID    NOT NULL,
    frame           BIGINT  NOT NULL,
    shard           INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    queue           TEXT    NOT NULL,
    function        TEXT    NOT NULL,
    version         TEXT,
    labels          TEXT,
    priority        INTEGER NOT NULL,
    attempt         BIGINT  NOT NULL,
    failures        BIGINT  NOT NULL,
    losses          BIGINT  NOT NULL,
    lost_workers    TEXT,
    session_id      UUID,
    since_ms        BIGINT  NOT NULL,
    latest_start_ms BIGINT  NOT NULL,
    checkpoint      BYTEA,
    healing         TEXT,
    namespace       TEXT    NOT NULL,
    -- The far side that the function calls, if its arguments name one.
    destination     TEXT,
    PRIMARY KEY (workflow_id, frame)
);

CREATE TABLE timers (
    workflow_id UUID    NOT NULL,
    frame       BIGINT  NOT NULL,
    timer       INTEGER NOT NULL,
    shard       INTEGER NOT NULL,
    due_ms      BIGINT  NOT NULL,
    PRIMARY KEY (workflow_id, frame, timer)
);
CREATE INDEX timers_due ON timers (shard, due_ms);

-- Listen tasks that are open; event_type '' = of any type.
CREATE TABLE listeners (
    workflow_id UUID    NOT NULL,
    frame       BIGINT  NOT NULL,
    shard       INTEGER NOT NULL,
    event_type  TEXT    NOT NULL,
    PRIMARY KEY (workflow_id, frame)
);

CREATE TABLE sessions (
    shard          INTEGER NOT NULL,
    id             UUID    NOT NULL,
    worker_id      TEXT    NOT NULL,
    incarnation    TEXT    NOT NULL,
    announcement   BYTEA   NOT NULL,
    lease_until_ms BIGINT  NOT NULL,
    is_lent        BOOLEAN NOT NULL,
    PRIMARY KEY (shard, id)
);
CREATE UNIQUE INDEX sessions_by_worker ON sessions (worker_id, shard);

CREATE TABLE healings (
    shard  INTEGER NOT NULL,
    id     TEXT    NOT NULL,
    healed BOOLEAN NOT NULL,
    body   BYTEA   NOT NULL,
    PRIMARY KEY (shard, id)
);
CREATE INDEX healings_open ON healings (shard, id) WHERE NOT healed;
