-- Behind this position nothing was removed from the log.
CREATE TABLE trimmed (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    position INTEGER NOT NULL
) STRICT;
INSERT INTO trimmed VALUES (0, 0);

-- Entries that are of no workflow, by age: they go by themselves.
CREATE INDEX log_others ON log (at_ms) WHERE workflow_id IS NULL;

-- Healings that are under way; of those that are healed the log tells.
DELETE FROM healings WHERE healed = 1;
DROP INDEX healings_open;
ALTER TABLE healings DROP COLUMN healed;
