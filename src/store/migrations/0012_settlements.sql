-- What a settled phase rests on where no attempt of it says so. `phases.evidence` names the kind; without its row here, in the
-- state and after the attempts that the phase has, it is worth nothing.
CREATE TABLE settlements (
    phase      INTEGER PRIMARY KEY REFERENCES phases (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL CHECK (kind IN ('import', 'operator', 'earlier')),
    state      TEXT    NOT NULL CHECK (state IN ('COMPLETE', 'SKIPPED')),
    executions INTEGER NOT NULL CHECK (executions >= 0)
) STRICT;
INSERT INTO settlements (phase, kind, state, executions)
SELECT id, evidence, state, executions FROM phases WHERE evidence IS NOT NULL AND state IN ('COMPLETE', 'SKIPPED');
