-- Attempts that propose the scope of a phase, and do not work on it: they leave no sample. 'scope_proposed': the proposal was
-- kept; such an attempt ends as 'interrupted', which counts nowhere.
ALTER TABLE attempts ADD COLUMN purpose TEXT CHECK (purpose IN ('scope_proposal', 'scope_proposed'));

-- The scopes proposed for a phase, one for each text that the phase had.
CREATE TABLE scope_proposals (
    phase       INTEGER NOT NULL REFERENCES phases (id) ON DELETE CASCADE,
    -- Digest of the text that the proposal answers.
    spec_digest TEXT    NOT NULL,
    -- The commit whose files were proposed.
    commit_id   TEXT    NOT NULL,
    proposal    TEXT    NOT NULL CHECK (json_valid(proposal)),
    -- Billed tokens and cost of the call, NULL where unknown or without a call.
    tokens      INTEGER,
    cost_usd    REAL,
    created_at  INTEGER NOT NULL,
    -- 'rules', or 'operator' for a person who opened the withheld paths, too.
    accepted_by TEXT    NOT NULL CHECK (accepted_by IN ('rules', 'operator')),
    PRIMARY KEY (phase, spec_digest)
) STRICT;
