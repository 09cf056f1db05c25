-- Where in the orchestrator's log everything here comes from.
CREATE TABLE position (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL
) STRICT;

-- Copies; the orchestrator owns the healings. The record is the contract's message.
CREATE TABLE healings (
    id                TEXT    PRIMARY KEY,
    incident          TEXT    NOT NULL,
    workflow_id       TEXT    NOT NULL,
    detected_at_ms    INTEGER NOT NULL,
    detected_after_ms INTEGER,
    healed_after_ms   INTEGER,
    healed            INTEGER NOT NULL,
    record            BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX healings_by_age ON healings (detected_at_ms, id);
CREATE INDEX healings_by_workflow ON healings (workflow_id, detected_at_ms, id);
CREATE INDEX healings_by_incident ON healings (incident, detected_at_ms, id);
