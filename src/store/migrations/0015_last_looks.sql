-- What a person saw of a run last, and how its last drain ended: both go with the run.
ALTER TABLE runs ADD COLUMN looked_at INTEGER;
ALTER TABLE runs ADD COLUMN last_drain TEXT CHECK (last_drain IS NULL OR json_valid(last_drain));
