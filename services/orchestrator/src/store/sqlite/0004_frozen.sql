-- Workflows whose history cannot be trusted: nothing is done with them but what people order.
CREATE TABLE frozen (
    workflow_id BLOB PRIMARY KEY,
    -- For people: what is wrong.
    why TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
