-- Where in the log everything here comes from (text of the cursor), who follows it, and a number
-- for each change of the healings.
CREATE TABLE place (
    id            BIGINT PRIMARY KEY CHECK (id = 1),
    cursor        TEXT   NOT NULL,
    holder        TEXT   NOT NULL,
    held_until_ms BIGINT NOT NULL,
    change        BIGINT NOT NULL
);
INSERT INTO place (id, cursor, holder, held_until_ms, change) VALUES (1, '', '', 0, 0);

-- Copies; the orchestrator owns the healings. The record is the contract's message.
CREATE TABLE healings (
    id                TEXT    PRIMARY KEY,
    namespace         TEXT    NOT NULL,
    incident          TEXT    NOT NULL,
    workflow_id       TEXT    NOT NULL,
    detected_at_ms    BIGINT  NOT NULL,
    detected_after_ms BIGINT,
    healed_after_ms   BIGINT,
    healed            BOOLEAN NOT NULL,
    change            BIGINT  NOT NULL,
    record            BYTEA   NOT NULL
);
CREATE INDEX healings_by_age ON healings (detected_at_ms, id);
CREATE INDEX healings_by_workflow ON healings (workflow_id, detected_at_ms, id);
CREATE INDEX healings_by_incident ON healings (incident, detected_at_ms, id);
CREATE INDEX healings_by_change ON healings (change, id);

-- Values by minute and by hour: at_s is the beginning (Unix seconds), step_s its length.
CREATE TABLE series (
    step_s    BIGINT NOT NULL,
    metric    TEXT   NOT NULL,
    at_s      BIGINT NOT NULL,
    namespace TEXT   NOT NULL,
    value     BIGINT NOT NULL,
    PRIMARY KEY (step_s, metric, at_s, namespace)
);

-- Spreads of spans, likewise: pairs of bucket and count.
CREATE TABLE spreads (
    step_s    BIGINT NOT NULL,
    metric    TEXT   NOT NULL,
    at_s      BIGINT NOT NULL,
    namespace TEXT   NOT NULL,
    buckets   BYTEA  NOT NULL,
    PRIMARY KEY (step_s, metric, at_s, namespace)
);
