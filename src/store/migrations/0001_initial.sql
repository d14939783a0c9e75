-- Never edited once released: a change is a new file with the next number.
-- Points in time are milliseconds since the Unix epoch, except boot-clock ones, which say so.

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY,
    run_id      TEXT    NOT NULL UNIQUE,
    source      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    -- Where the run is executed: set once, by its first drain.
    repo        TEXT,
    branch      TEXT,
    base_commit TEXT,
    CHECK ((repo IS NULL) = (branch IS NULL)),
    CHECK ((repo IS NULL) = (base_commit IS NULL))
) STRICT;

-- A drain, while it lives and until its last work is recovered.
CREATE TABLE owners (
    owner             TEXT    PRIMARY KEY NOT NULL,
    pid               INTEGER NOT NULL,
    boot_id           TEXT    NOT NULL,
    host              TEXT    NOT NULL,
    lock_path         TEXT    NOT NULL,
    -- JSON list of run ids.
    runs              TEXT    NOT NULL,
    started_at        INTEGER NOT NULL,
    -- By the boot-time clock of the host: a wall clock that jumps expires nothing.
    heartbeat_boot_ms INTEGER NOT NULL,
    -- 0 run on, 1 finish up, 2 stop at once.
    stop              INTEGER NOT NULL DEFAULT 0 CHECK (stop IN (0, 1, 2)),
    fenced            INTEGER NOT NULL DEFAULT 0 CHECK (fenced IN (0, 1))
) STRICT;

CREATE TABLE phases (
    id           INTEGER PRIMARY KEY,
    run          INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    phase_id     TEXT    NOT NULL,
    position     INTEGER NOT NULL,
    state        TEXT    NOT NULL
                 CHECK (state IN ('QUEUED', 'EXECUTING', 'COMPLETE', 'FAILED', 'SKIPPED')),
    owner        TEXT    REFERENCES owners (owner),
    -- Dependencies that are neither COMPLETE nor SKIPPED; kept in step by the transaction that moves one.
    unmet        INTEGER NOT NULL DEFAULT 0 CHECK (unmet >= 0),
    -- 1: behind the others, after it took several drains down.
    band         INTEGER NOT NULL DEFAULT 0 CHECK (band IN (0, 1)),
    not_before   INTEGER NOT NULL DEFAULT 0,
    -- The number of the latest attempt; `attempts` counts only what was charged.
    executions   INTEGER NOT NULL DEFAULT 0 CHECK (executions >= 0),
    attempts     INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    crashes      INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    rate_limits  INTEGER NOT NULL DEFAULT 0 CHECK (rate_limits >= 0),
    base_moves   INTEGER NOT NULL DEFAULT 0 CHECK (base_moves >= 0),
    max_attempts INTEGER CHECK (max_attempts > 0),
    commit_id    TEXT,
    -- Counts the changes of `spec`, for whoever computed the next one outside of the transaction.
    spec_version INTEGER NOT NULL DEFAULT 0,
    name         TEXT    NOT NULL,
    note         TEXT,
    unfixable    TEXT,
    -- JSON: what the auto-fixer did so far; the failure that the next prompt tells; the spec as written and as repaired.
    fixes        TEXT    NOT NULL DEFAULT '[]',
    last_failure TEXT,
    raw_spec     TEXT    NOT NULL,
    spec         TEXT,
    UNIQUE (run, phase_id),
    CHECK ((state = 'EXECUTING') = (owner IS NOT NULL)),
    CHECK (commit_id IS NULL OR state = 'COMPLETE')
) STRICT;

-- What a claim looks for, in its order and with all that it asks: it never reads the table to choose.
CREATE INDEX phases_claimable ON phases (run, band, position, not_before)
    WHERE state = 'QUEUED' AND unmet = 0;
CREATE INDEX phases_executing ON phases (owner) WHERE owner IS NOT NULL;
CREATE INDEX phases_by_state ON phases (run, state);
CREATE UNIQUE INDEX phases_by_position ON phases (run, position);

CREATE TABLE dependencies (
    phase INTEGER NOT NULL REFERENCES phases (id) ON DELETE CASCADE,
    needs INTEGER NOT NULL REFERENCES phases (id) ON DELETE CASCADE,
    PRIMARY KEY (phase, needs),
    CHECK (phase <> needs)
) STRICT;
CREATE INDEX dependencies_by_need ON dependencies (needs, phase);

-- QUEUED phases behind a FAILED one: nothing but the operator moves them.
CREATE VIEW blocked (id, run) AS
    WITH RECURSIVE behind (id, run) AS (
        SELECT p.id, p.run
          FROM phases f
          JOIN dependencies d ON d.needs = f.id
          JOIN phases p ON p.id = d.phase
         WHERE f.state = 'FAILED' AND p.state = 'QUEUED'
        UNION
        SELECT p.id, p.run
          FROM behind b
          JOIN dependencies d ON d.needs = b.id
          JOIN phases p ON p.id = d.phase
         WHERE p.state = 'QUEUED'
    )
    SELECT id, run FROM behind;

-- Executions, append-only.
CREATE TABLE attempts (
    id                      INTEGER PRIMARY KEY,
    phase                   INTEGER NOT NULL REFERENCES phases (id) ON DELETE CASCADE,
    attempt                 INTEGER NOT NULL CHECK (attempt > 0),
    owner                   TEXT    NOT NULL,
    started_at              INTEGER NOT NULL,
    -- What was claimed, as telemetry describes it.
    category                TEXT    NOT NULL,
    complexity              TEXT    NOT NULL,
    deliverables            TEXT    NOT NULL,
    slot                    TEXT,
    log_dir                 TEXT,
    -- Set right before the agent is started: an attempt without it never reached one.
    agent                   TEXT,
    estimated_output_tokens INTEGER,
    -- Set before the branch moves, so that a crash in between can be told from one before.
    landing_commit          TEXT,
    ended_at                INTEGER,
    outcome                 TEXT
        CHECK (outcome IN ('landed', 'no_change_needed', 'failed', 'interrupted', 'crashed',
                           'rate_limited', 'base_moved', 'systemic')),
    failure                 TEXT,
    note                    TEXT,
    model                   TEXT,
    input_tokens            INTEGER,
    output_tokens           INTEGER,
    cache_read_tokens       INTEGER,
    cache_write_tokens      INTEGER,
    cost_usd                REAL,
    truncated               INTEGER NOT NULL DEFAULT 0 CHECK (truncated IN (0, 1)),
    stop_reason             TEXT,
    agent_ms                INTEGER,
    ci_ms                   INTEGER,
    UNIQUE (phase, attempt),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT;

CREATE TRIGGER attempts_end_once
    BEFORE UPDATE ON attempts WHEN OLD.ended_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an attempt that ended is never changed');
END;

CREATE TRIGGER attempts_keep_identity
    BEFORE UPDATE OF id, phase, attempt, owner, started_at ON attempts
BEGIN
    SELECT RAISE(ABORT, 'an attempt keeps its phase, number, owner and start');
END;

-- When a run is removed, its phases are gone by the time the cascade arrives here.
CREATE TRIGGER attempts_stay
    BEFORE DELETE ON attempts WHEN EXISTS (SELECT 1 FROM phases WHERE id = OLD.phase)
BEGIN
    SELECT RAISE(ABORT, 'an attempt is removed only with its run');
END;

-- Telemetry: only what cannot be derived. It outlives its run, and describes runs that were never here.
CREATE TABLE samples (
    id                      INTEGER PRIMARY KEY,
    run_id                  TEXT    NOT NULL,
    phase_id                TEXT    NOT NULL,
    -- Absent in samples of another system, which have their `origin` there instead.
    attempt                 INTEGER,
    origin                  TEXT,
    timestamp               INTEGER NOT NULL,
    category                TEXT    NOT NULL,
    complexity              TEXT    NOT NULL,
    deliverables            TEXT    NOT NULL,
    predicted_output_tokens INTEGER,
    actual_output_tokens    INTEGER,
    input_tokens            INTEGER,
    cache_read_tokens       INTEGER,
    cost_usd                REAL,
    agent                   TEXT,
    model                   TEXT,
    success                 INTEGER NOT NULL CHECK (success IN (0, 1)),
    truncated               INTEGER NOT NULL CHECK (truncated IN (0, 1)),
    stop_reason             TEXT,
    failure_kind            TEXT,
    agent_ms                INTEGER,
    ci_ms                   INTEGER,
    CHECK ((attempt IS NULL) = (origin IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX samples_by_origin ON samples (run_id, phase_id, timestamp, origin)
    WHERE origin IS NOT NULL;
CREATE INDEX samples_by_time ON samples (timestamp, id);

-- What CI said at a commit, so that only new failures count.
CREATE TABLE baselines (
    run         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    commit_id   TEXT    NOT NULL,
    command_key TEXT    NOT NULL,
    result      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (run, commit_id, command_key)
) STRICT;
