-- Files outside of its scope that an agent asked for, with the decision: of each attempt of a phase since its spec last changed.
CREATE TABLE scope_requests (
    phase      INTEGER NOT NULL REFERENCES phases (id) ON DELETE CASCADE,
    attempt    INTEGER NOT NULL CHECK (attempt > 0),
    -- Order within the request, from 0.
    position   INTEGER NOT NULL CHECK (position >= 0),
    path       TEXT    NOT NULL,
    reason     TEXT,
    -- 'unused': in scope already, or the attempt did not need it.
    decision   TEXT    NOT NULL CHECK (decision IN ('granted', 'refused', 'unused')),
    why        TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (phase, attempt, position)
) STRICT;

-- Whether granted files explain the failure: such an attempt ends as 'interrupted', which counts nowhere.
ALTER TABLE attempts ADD COLUMN scope_granted INTEGER NOT NULL DEFAULT 0 CHECK (scope_granted IN (0, 1));
