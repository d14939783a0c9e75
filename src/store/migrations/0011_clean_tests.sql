-- What CI said of a commit of the run's branch in a fresh clone. The latest row of a run is what `status` shows.
CREATE TABLE clean_tests (
    id        INTEGER PRIMARY KEY,
    run       INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    commit_id TEXT    NOT NULL,
    outcome   TEXT    NOT NULL CHECK (outcome IN ('green', 'red_in_clean_clone', 'not_reproducible')),
    -- JSON: the failing tests, the last lines, the landing that broke it, the last green commit.
    detail    TEXT    NOT NULL,
    tested_at INTEGER NOT NULL
) STRICT;
CREATE INDEX clean_tests_by_run ON clean_tests (run, id);
