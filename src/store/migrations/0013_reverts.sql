-- Landings taken back by the operator: `autopack undo`. A row is open until its commit landed or the undo ended without.
-- While a row is open, no drain of the run may begin.
CREATE TABLE reverts (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    owner         TEXT    NOT NULL,
    -- The state of the phases afterwards.
    next_state    TEXT    NOT NULL CHECK (next_state IN ('QUEUED', 'SKIPPED')),
    started_at    INTEGER NOT NULL,
    -- Set before the branch moves, so that a crash in between can be told from one before.
    revert_commit TEXT,
    ended_at      INTEGER,
    outcome       TEXT CHECK (outcome IN ('undone', 'refused', 'crashed')),
    CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CHECK (outcome <> 'undone' OR revert_commit IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX reverts_open ON reverts (run) WHERE ended_at IS NULL;
CREATE INDEX reverts_by_run ON reverts (run, ended_at);

CREATE TRIGGER reverts_end_once
    BEFORE UPDATE ON reverts WHEN OLD.ended_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an undo that ended is never changed');
END;

-- The attempts whose landing a revert takes back.
CREATE TABLE reverted_attempts (
    revert  INTEGER NOT NULL REFERENCES reverts (id) ON DELETE CASCADE,
    phase   INTEGER NOT NULL REFERENCES phases (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    PRIMARY KEY (revert, phase, attempt)
) STRICT;
CREATE INDEX reverted_attempts_by_phase ON reverted_attempts (phase, attempt);

-- Attempts whose landing was taken back.
CREATE VIEW undone_attempts (phase, attempt, reverted_by) AS
    SELECT t.phase, t.attempt, v.revert_commit
      FROM reverted_attempts t JOIN reverts v ON v.id = t.revert
     WHERE v.outcome = 'undone';

-- Landings not taken back. A phase that was done again has several.
CREATE VIEW live_landings (phase, attempt, landing_commit) AS
    SELECT a.phase, a.attempt, a.landing_commit
      FROM attempts a
     WHERE a.outcome = 'landed' AND a.landing_commit IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM undone_attempts u
                        WHERE u.phase = a.phase AND u.attempt = a.attempt);
