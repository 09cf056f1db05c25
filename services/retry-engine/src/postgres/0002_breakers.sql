-- Where in the log everything here comes from, and which replica follows it until when.
CREATE TABLE reading (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    cursor   TEXT    NOT NULL,
    holder   TEXT    NOT NULL,
    until_ms BIGINT NOT NULL
);
INSERT INTO reading (id, cursor, holder, until_ms)
    SELECT 1, coalesce((SELECT log || '-' || seq FROM position), ''), '', 0;
DROP TABLE position;

-- Classes have the numbers of the contract. A decision may be claimed from ready_at_ms on: when it
-- is due, or when the claim of a replica that did not finish is over. What was charged to a budget
-- once is not charged again.
ALTER TABLE retries ADD COLUMN namespace   TEXT    NOT NULL DEFAULT '';
ALTER TABLE retries ADD COLUMN destination TEXT    NOT NULL DEFAULT '';
ALTER TABLE retries ADD COLUMN class       BIGINT NOT NULL DEFAULT 1;
ALTER TABLE retries ADD COLUMN deferrals   BIGINT NOT NULL DEFAULT 0;
ALTER TABLE retries ADD COLUMN charges     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE retries ADD COLUMN ready_at_ms BIGINT NOT NULL DEFAULT 0;
UPDATE retries SET ready_at_ms = due_at_ms;
DROP INDEX retries_due;
CREATE INDEX retries_ready ON retries (ready_at_ms);

ALTER TABLE give_ups ADD COLUMN function TEXT NOT NULL DEFAULT '';

-- Workers that were lost with a task: the evidence of its quarantine.
CREATE TABLE losses (
    workflow_id TEXT    NOT NULL,
    frame       BIGINT NOT NULL,
    attempt     BIGINT NOT NULL,
    function    TEXT    NOT NULL,
    loss        BYTEA    NOT NULL,
    at_ms       BIGINT NOT NULL,
    PRIMARY KEY (workflow_id, frame, attempt)
);
CREATE INDEX losses_old ON losses (at_ms);

ALTER TABLE dead_letters ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN function    TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN losses      BYTEA NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN in_doubt_since_ms BIGINT;
CREATE INDEX dead_letters_by_fingerprint ON dead_letters (state, fingerprint, created_at_ms);

-- Phases have the numbers of the contract: 1 closed, 2 open, 3 half open.
CREATE TABLE breakers (
    namespace   TEXT    NOT NULL,
    function    TEXT    NOT NULL,
    destination TEXT    NOT NULL,
    phase       BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    since_ms    BIGINT NOT NULL,
    deadline_ms BIGINT,
    state       BYTEA    NOT NULL,
    at_ms       BIGINT NOT NULL,
    PRIMARY KEY (namespace, function, destination)
);
CREATE INDEX breakers_by_revision ON breakers (revision);
CREATE INDEX breakers_held ON breakers (phase, namespace) WHERE phase > 1;
CREATE INDEX breakers_due ON breakers (deadline_ms) WHERE deadline_ms IS NOT NULL;

-- The revision of the last change of a breaker's phase.
CREATE TABLE revisions (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL
);
INSERT INTO revisions (id, revision) VALUES (1, 0);

CREATE TABLE breaker_changes (
    revision  BIGINT PRIMARY KEY,
    namespace TEXT    NOT NULL,
    change    BYTEA    NOT NULL,
    at_ms     BIGINT NOT NULL
);
CREATE INDEX breaker_changes_old ON breaker_changes (at_ms);

CREATE TABLE budgets (
    namespace   TEXT    NOT NULL,
    function    TEXT    NOT NULL,
    destination TEXT    NOT NULL,
    counts      BYTEA    NOT NULL,
    at_ms       BIGINT NOT NULL,
    PRIMARY KEY (namespace, function, destination)
);

-- States have the numbers of the contract: 1 is running.
CREATE TABLE redrives (
    id               TEXT    PRIMARY KEY,
    state            BIGINT NOT NULL,
    redrive          BYTEA    NOT NULL,
    input            BYTEA,
    redriven         BIGINT NOT NULL,
    refused          BIGINT NOT NULL,
    detail           TEXT    NOT NULL,
    ended_at_ms      BIGINT,
    claimed_until_ms BIGINT NOT NULL
);
CREATE INDEX redrives_running ON redrives (claimed_until_ms) WHERE state = 1;
