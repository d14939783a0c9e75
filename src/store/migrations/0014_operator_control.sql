-- Control by the operator while drains run: paused runs, held phases, and drains that finish their running phases.

-- When the run was paused; no phase of a paused run is claimed. NULL: the run is not paused.
ALTER TABLE runs ADD COLUMN paused_at INTEGER;

-- 1: stopped by the operator, and not claimed before the operator resumes or retries the phase; 2: a running attempt is
-- killed as well.
ALTER TABLE phases ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1, 2));

-- 1: the drain claims nothing more and finishes its running phases.
ALTER TABLE owners ADD COLUMN winding_down INTEGER NOT NULL DEFAULT 0 CHECK (winding_down IN (0, 1));

-- Claims and their waits leave out held phases. SQLite takes an index as covering for both sides of the outermost AND, and
-- descends to the right only: hence the parentheses.
DROP INDEX phases_claimable;
CREATE INDEX phases_claimable ON phases (run, band, position, not_before, footprint)
    WHERE state = 'QUEUED' AND (unmet = 0 AND held = 0);
DROP INDEX phases_put_off;
CREATE INDEX phases_put_off ON phases (run, not_before)
    WHERE state = 'QUEUED' AND (unmet = 0 AND (held = 0 AND not_before > 0));
CREATE INDEX phases_held ON phases (state, run) WHERE held > 0;

-- QUEUED phases that only the operator can move: held phases, and phases behind them. Phases behind a FAILED phase are in
-- `blocked` only.
CREATE VIEW held_back (id, run) AS
    WITH RECURSIVE behind (id, run) AS (
        SELECT id, run FROM phases WHERE state = 'QUEUED' AND held > 0
        UNION
        SELECT p.id, p.run
          FROM behind b
          JOIN dependencies d ON d.needs = b.id
          JOIN phases p ON p.id = d.phase
         WHERE p.state = 'QUEUED'
    )
    SELECT id, run FROM behind WHERE id NOT IN (SELECT id FROM blocked);
