-- The merge queue: attempts with finished work, in the order in which they land, of all drains. A member that landed or left
-- has no row.
CREATE TABLE queue_members (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    run        INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    phase      INTEGER NOT NULL UNIQUE REFERENCES phases (id) ON DELETE CASCADE,
    attempt    INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    entered_at INTEGER NOT NULL,
    -- The member's commit, and the commit before it in the queue or the tip. NULL until the commit is made.
    commit_id  TEXT,
    parent     TEXT,
    state      TEXT    NOT NULL DEFAULT 'building' CHECK (state IN ('building', 'testing', 'green', 'red')),
    CHECK ((commit_id IS NULL) = (parent IS NULL)),
    CHECK ((commit_id IS NULL) = (state = 'building'))
) STRICT;
CREATE INDEX queue_members_by_run ON queue_members (run, position);
