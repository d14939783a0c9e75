-- The tracker that a run comes from, so that `sync` can ask it again.
CREATE TABLE run_sources (
    run       INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    -- Name of the repository, such as `github:owner/repo`.
    tracker   TEXT NOT NULL,
    -- The choice of issues.
    choice    TEXT NOT NULL CHECK (json_valid(choice)),
    -- Mark of the last change that was synchronized.
    seen      TEXT,
    synced_at INTEGER
) STRICT;

-- How the issue of a phase was closed, when `sync` saw it last. NULL: open, or no issue.
ALTER TABLE phases ADD COLUMN closed_as TEXT CHECK (closed_as IN ('COMPLETE', 'SKIPPED'));
