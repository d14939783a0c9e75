-- What CI said of a tree, so that it need not be asked again: before the first agent, and to compare with.
-- Kept by what decides it: the files, the command, how the place is set up, and the environment.
DROP TABLE baselines;

CREATE TABLE base_results (
    run             INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    tree            TEXT    NOT NULL,
    command_key     TEXT    NOT NULL,
    setup_key       TEXT    NOT NULL,
    environment_key TEXT    NOT NULL,
    -- JSON; its shape is CI's.
    result          TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (run, tree, command_key, setup_key, environment_key)
) STRICT;
-- Another run may have begun at the same tree.
CREATE INDEX base_results_by_tree ON base_results (tree, command_key);
-- The oldest go first.
CREATE INDEX base_results_by_age ON base_results (run, command_key, created_at);
