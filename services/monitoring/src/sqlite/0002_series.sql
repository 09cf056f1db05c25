-- Where in the log everything here comes from (text of the cursor), who follows it, and a number
-- for each change of the healings.
CREATE TABLE place (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    cursor        TEXT    NOT NULL,
    holder        TEXT    NOT NULL,
    held_until_ms INTEGER NOT NULL,
    change        INTEGER NOT NULL
) STRICT;
INSERT INTO place (id, cursor, holder, held_until_ms, change) VALUES (1, '', '', 0, 0);
UPDATE place SET cursor = (SELECT log || '-' || seq FROM position)
    WHERE EXISTS (SELECT 1 FROM position);
DROP TABLE position;

ALTER TABLE healings ADD COLUMN namespace TEXT NOT NULL DEFAULT '';
ALTER TABLE healings ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
CREATE INDEX healings_by_change ON healings (change, id);

-- Values by minute and by hour: at_s is the beginning (Unix seconds), step_s its length.
CREATE TABLE series (
    step_s    INTEGER NOT NULL,
    metric    TEXT    NOT NULL,
    at_s      INTEGER NOT NULL,
    namespace TEXT    NOT NULL,
    value     INTEGER NOT NULL,
    PRIMARY KEY (step_s, metric, at_s, namespace)
) STRICT, WITHOUT ROWID;

-- Spreads of spans, likewise: pairs of bucket and count.
CREATE TABLE spreads (
    step_s    INTEGER NOT NULL,
    metric    TEXT    NOT NULL,
    at_s      INTEGER NOT NULL,
    namespace TEXT    NOT NULL,
    buckets   BLOB    NOT NULL,
    PRIMARY KEY (step_s, metric, at_s, namespace)
) STRICT, WITHOUT ROWID;
