-- What tells whether an owner lives, for whoever is not on its machine or was suspended with it. NULL: an older autopack
-- registered it.
ALTER TABLE owners ADD COLUMN lease_ms INTEGER CHECK (lease_ms >= 0);
-- The identity of the repository that it works in.
ALTER TABLE owners ADD COLUMN repo TEXT;
-- Beside host and boot: which machine, and which PID namespace on it. Process ids mean something only within one.
ALTER TABLE owners ADD COLUMN machine TEXT;
ALTER TABLE owners ADD COLUMN pid_namespace TEXT;
-- When its process began, in the kernel's ticks since boot: process ids are used again.
ALTER TABLE owners ADD COLUMN process_start INTEGER;

-- Why a phase is COMPLETE or SKIPPED where no attempt of it says so: `import`, `operator`, or `earlier` for what was settled
-- before this was recorded.
ALTER TABLE phases ADD COLUMN evidence TEXT CHECK (evidence IN ('import', 'operator', 'earlier'));
-- Attempts up to this number are no evidence: the operator had the phase done again after them.
ALTER TABLE phases ADD COLUMN redone INTEGER NOT NULL DEFAULT 0;
UPDATE phases SET evidence = 'earlier' WHERE state IN ('COMPLETE', 'SKIPPED');

-- When a run is removed, it is gone by the time the cascade arrives here.
CREATE TRIGGER phases_stay
    BEFORE DELETE ON phases WHEN EXISTS (SELECT 1 FROM runs WHERE id = OLD.run)
BEGIN
    SELECT RAISE(ABORT, 'a phase is removed only with its run');
END;

CREATE TRIGGER attempts_begin_open
    BEFORE INSERT ON attempts WHEN NEW.ended_at IS NOT NULL OR NEW.landing_commit IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an attempt begins before it ends');
END;
