-- Where in the orchestrator's log everything here comes from.
CREATE TABLE position (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    log BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

-- Decisions that the orchestrator has not applied yet, one per task.
CREATE TABLE retries (
    workflow_id    TEXT   NOT NULL,
    frame          BIGINT NOT NULL,
    attempt        BIGINT NOT NULL,
    function       TEXT   NOT NULL,
    failure        BIGINT NOT NULL,
    attempts_max   BIGINT NOT NULL,
    error          BYTEA  NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    due_at_ms      BIGINT NOT NULL,
    give_up_reason TEXT   NOT NULL,
    PRIMARY KEY (workflow_id, frame)
);
CREATE INDEX retries_due ON retries (due_at_ms);

-- What was given up and why, until its workflow faults or ends: the cause of its dead letter.
CREATE TABLE give_ups (
    workflow_id TEXT   NOT NULL,
    frame       BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    at_ms       BIGINT NOT NULL,
    PRIMARY KEY (workflow_id, frame)
);
CREATE INDEX give_ups_old ON give_ups (at_ms);

-- States and causes have the numbers of the contract: 1 is open, 2 redriven, 3 resolved.
CREATE TABLE dead_letters (
    id                   TEXT   PRIMARY KEY,
    workflow_id          TEXT   NOT NULL,
    definition_namespace TEXT   NOT NULL,
    definition_name      TEXT   NOT NULL,
    definition_version   TEXT   NOT NULL,
    task                 TEXT   NOT NULL,
    cause                BIGINT NOT NULL,
    state                BIGINT NOT NULL,
    error                BYTEA  NOT NULL,
    created_at_ms        BIGINT NOT NULL,
    settled_at_ms        BIGINT
);
CREATE UNIQUE INDEX dead_letters_open ON dead_letters (workflow_id) WHERE state = 1;
CREATE INDEX dead_letters_by_age ON dead_letters (state, created_at_ms, id);
CREATE INDEX dead_letters_by_workflow ON dead_letters (workflow_id);
