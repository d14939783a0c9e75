-- Where phases come from, and what their sources say about executing phases.

-- The plan, backlog or tracker that last had the phase; NULL: unknown, because an older version imported the phase.
ALTER TABLE phases ADD COLUMN source TEXT;

-- The state and note that an executing phase takes after its attempt, if the source settled the phase meanwhile.
ALTER TABLE phases ADD COLUMN settle_as TEXT CHECK (settle_as IN ('COMPLETE', 'SKIPPED'));
ALTER TABLE phases ADD COLUMN settle_note TEXT;
