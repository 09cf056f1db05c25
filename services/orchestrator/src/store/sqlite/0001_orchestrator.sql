CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- One log per start of the orchestrator.
CREATE TABLE logs (
    log INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;

-- History, outbox and log in one: appended in commit order, position = log << 40 | seq.
CREATE TABLE log (
    position INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    topics INTEGER NOT NULL,
    -- 0 workflow, 1 healing, 2 session
    subject INTEGER NOT NULL,
    workflow_id BLOB,
    first_seq INTEGER,
    body BLOB NOT NULL
) STRICT;
-- The fence of every step: two steps cannot have the same number.
CREATE UNIQUE INDEX log_history ON log (workflow_id, first_seq) WHERE workflow_id IS NOT NULL;

CREATE TABLE definitions (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    source BLOB NOT NULL,
    digest TEXT NOT NULL,
    published_at_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE workflows (
    id BLOB PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    phase INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    idempotency_key TEXT,
    start_digest BLOB,
    -- An encoded WorkflowFaulted, while it is faulted.
    fault BLOB
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX workflows_key ON workflows (idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- 5 cancelled, 7 completed: the many that are over cost this index nothing.
CREATE INDEX workflows_open ON workflows (phase, id) WHERE phase NOT IN (5, 7);

CREATE TABLE tasks (
    workflow_id BLOB NOT NULL,
    frame INTEGER NOT NULL,
    state INTEGER NOT NULL,
    queue TEXT NOT NULL,
    function TEXT NOT NULL,
    version TEXT,
    labels TEXT,
    priority INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    lost_workers TEXT,
    session_id BLOB,
    since_ms INTEGER NOT NULL,
    latest_start_ms INTEGER NOT NULL,
    checkpoint BLOB,
    healing TEXT,
    namespace TEXT NOT NULL,
    -- The far side that the function calls, if its arguments name one.
    destination TEXT,
    PRIMARY KEY (workflow_id, frame)
) STRICT, WITHOUT ROWID;

CREATE TABLE timers (
    workflow_id BLOB NOT NULL,
    frame INTEGER NOT NULL,
    timer INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY (workflow_id, frame, timer)
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_due ON timers (due_ms);

-- Listen tasks that are open; event_type '' = of any type.
CREATE TABLE listeners (
    workflow_id BLOB NOT NULL,
    frame INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    PRIMARY KEY (workflow_id, frame)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    worker_id TEXT NOT NULL UNIQUE,
    incarnation TEXT NOT NULL,
    announcement BLOB NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    is_lent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE healings (
    id TEXT PRIMARY KEY,
    healed INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX healings_open ON healings (id) WHERE healed = 0;
