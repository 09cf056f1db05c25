-- Workflows whose history cannot be trusted: nothing is done with them but what people order.
CREATE TABLE frozen (
    workflow_id UUID PRIMARY KEY,
    shard       INTEGER NOT NULL,
    -- For people: what is wrong.
    why         TEXT    NOT NULL,
    at_ms       BIGINT  NOT NULL
);
CREATE INDEX frozen_by_shard ON frozen (shard);
