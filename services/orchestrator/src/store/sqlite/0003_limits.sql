-- What tasks may not exceed together.
CREATE TABLE limits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    function TEXT NOT NULL,
    -- JSON pointer into the arguments; '' = all tasks of the function together.
    per TEXT NOT NULL,
    -- Attempts at once; NULL = any number.
    concurrency INTEGER,
    -- Attempts that start in a second, and after a pause at once; NULL = any number.
    rate REAL,
    burst INTEGER,
    created_at_ms INTEGER NOT NULL,
    changed_at_ms INTEGER NOT NULL,
    UNIQUE (namespace, function, per)
) STRICT;

-- What each shard has of a limit, by value; what it says itself, when it settles.
CREATE TABLE limit_uses (
    limit_id INTEGER NOT NULL,
    value TEXT NOT NULL,
    shard INTEGER NOT NULL,
    wanted INTEGER NOT NULL,
    running INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    PRIMARY KEY (limit_id, value, shard)
) STRICT, WITHOUT ROWID;

-- Starts that may be made; a bucket that is not there is full.
CREATE TABLE limit_buckets (
    limit_id INTEGER NOT NULL,
    value TEXT NOT NULL,
    tokens REAL NOT NULL,
    at_ms INTEGER NOT NULL,
    full_at_ms INTEGER NOT NULL,
    PRIMARY KEY (limit_id, value)
) STRICT, WITHOUT ROWID;

-- The values in the task's arguments that limits count by, as a JSON object: pointer to value.
ALTER TABLE tasks ADD COLUMN limit_values TEXT;
