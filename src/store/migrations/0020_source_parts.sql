-- The part of a source that a run has, such as a tag or a directory. Later imports put the part into the same run, and an
-- update visits the runs of parts that the source no longer has.
CREATE TABLE source_parts (
    run       INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    -- As in `phases.source`.
    source    TEXT    NOT NULL,
    -- The run given by `--run-id`.
    given_run TEXT,
    -- Name of the part; empty for the whole source.
    part      TEXT    NOT NULL,
    PRIMARY KEY (run, source)
) STRICT;
