-- Up to where in the log deliveries were derived (text of the cursor; empty while no webhook is
-- enabled), who derives, and a number for each change of the webhooks.
CREATE TABLE place (
    id            BIGINT PRIMARY KEY CHECK (id = 1),
    cursor        TEXT    NOT NULL,
    holder        TEXT    NOT NULL,
    held_until_ms BIGINT NOT NULL,
    version       BIGINT NOT NULL
);
INSERT INTO place (id, cursor, holder, held_until_ms, version) VALUES (1, '', '', 0, 0);

-- The filter is the contract's message; the namespace is its namespace, empty for all.
CREATE TABLE webhooks (
    id               TEXT    PRIMARY KEY,
    namespace        TEXT    NOT NULL,
    url              TEXT    NOT NULL,
    filter           BYTEA   NOT NULL,
    description      TEXT    NOT NULL,
    enabled          BOOLEAN NOT NULL,
    disabled_because TEXT    NOT NULL,
    created_at_ms    BIGINT NOT NULL,
    secret           TEXT    NOT NULL,
    former_secret    TEXT    NOT NULL,
    former_until_ms  BIGINT NOT NULL,
    behind           TEXT    NOT NULL
);

-- next_at_ms is there while a delivery is pending: when it is tried, or when whoever tries it now
-- is given up. The namespace is the webhook's.
CREATE TABLE deliveries (
    id              TEXT    PRIMARY KEY,
    webhook_id      TEXT    NOT NULL,
    namespace       TEXT    NOT NULL,
    event_id        TEXT    NOT NULL,
    event_type      TEXT    NOT NULL,
    state           BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    next_at_ms      BIGINT,
    attempted_at_ms BIGINT,
    status          BIGINT NOT NULL,
    error           TEXT    NOT NULL,
    took_ms         BIGINT NOT NULL,
    response        TEXT    NOT NULL,
    body            BYTEA   NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (webhook_id, next_at_ms) WHERE next_at_ms IS NOT NULL;
CREATE INDEX deliveries_by_age ON deliveries (created_at_ms, id);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, created_at_ms, id);
