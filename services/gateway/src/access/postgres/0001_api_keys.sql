-- API keys; of the key itself only a hash is kept.
CREATE TABLE api_keys (
    id                  TEXT   PRIMARY KEY,
    hash                BYTEA  NOT NULL,
    label               TEXT   NOT NULL,
    namespace           TEXT   NOT NULL,
    role                TEXT   NOT NULL,
    created_at_ms       BIGINT NOT NULL,
    created_by          TEXT   NOT NULL,
    expires_at_ms       BIGINT NOT NULL,
    revoked_at_ms       BIGINT,
    requests_per_second BIGINT NOT NULL,
    requests_burst      BIGINT NOT NULL
);

-- Rises with every change of a key, so that gateways read one row to know that nothing changed.
CREATE TABLE revision (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL
);
INSERT INTO revision (id, value) VALUES (1, 0);
