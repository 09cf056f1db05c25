-- Behind this position nothing was removed from the shard's log.
ALTER TABLE shards ADD COLUMN trimmed BIGINT NOT NULL DEFAULT 0;

-- Entries that are of no workflow, by age: they go by themselves.
CREATE INDEX log_others ON log (shard, at_ms) WHERE workflow_id IS NULL;

-- Healings that are under way; of those that are healed the log tells.
DELETE FROM healings WHERE healed;
DROP INDEX healings_open;
ALTER TABLE healings DROP COLUMN healed;
