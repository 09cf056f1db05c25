-- What tasks may not exceed together.
CREATE TABLE limits (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace     TEXT   NOT NULL,
    function      TEXT   NOT NULL,
    -- JSON pointer into the arguments; '' = all tasks of the function together.
    per           TEXT   NOT NULL,
    -- Attempts at once; NULL = any number.
    concurrency   BIGINT,
    -- Attempts that start in a second, and after a pause at once; NULL = any number.
    rate          DOUBLE PRECISION,
    burst         BIGINT,
    created_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    UNIQUE (namespace, function, per)
);

-- What each shard has of a limit, by value; what it says itself, when it settles.
CREATE TABLE limit_uses (
    limit_id BIGINT  NOT NULL,
    value    TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    wanted   BIGINT  NOT NULL,
    running  BIGINT  NOT NULL,
    waiting  BIGINT  NOT NULL,
    granted  BIGINT  NOT NULL,
    PRIMARY KEY (limit_id, value, shard)
);

-- Starts that may be made; a bucket that is not there is full.
CREATE TABLE limit_buckets (
    limit_id   BIGINT NOT NULL,
    value      TEXT   NOT NULL,
    tokens     DOUBLE PRECISION NOT NULL,
    at_ms      BIGINT NOT NULL,
    full_at_ms BIGINT NOT NULL,
    PRIMARY KEY (limit_id, value)
);

-- The values in the task's arguments that limits count by, as a JSON object: pointer to value.
ALTER TABLE tasks ADD COLUMN limit_values TEXT;
