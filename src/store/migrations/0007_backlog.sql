-- So that what a claim, a finish and the end of a batch ask costs the same however many phases there are.

-- What executes in a run, with where it writes. Without it, whoever asks that walks all phases of the run.
CREATE INDEX phases_running ON phases (run, footprint) WHERE owner IS NOT NULL;
-- When the next of those that are put off may run.
CREATE INDEX phases_put_off ON phases (run, not_before)
    WHERE state = 'QUEUED' AND unmet = 0 AND not_before > 0;
-- What blocks others; the view `blocked` begins here.
CREATE INDEX phases_failed ON phases (state, run) WHERE state = 'FAILED';

-- What the attempts that ended used, as far as they reached an agent. A budget of the run is compared with it.
-- Attempts of which some tokens are known.
ALTER TABLE runs ADD COLUMN spent_attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN spent_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN spent_usd REAL NOT NULL DEFAULT 0.0;
ALTER TABLE runs ADD COLUMN spent_ms INTEGER NOT NULL DEFAULT 0;

-- Tokens that were billed; where none are known, the estimate. One that was turned away by a limit used nothing.
CREATE VIEW used (id, phase, agent, started_at, ended_at, tokens, cost_usd) AS
    SELECT id, phase, agent, started_at, ended_at,
           CASE WHEN COALESCE(input_tokens, output_tokens, cache_write_tokens) IS NOT NULL
                THEN COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0) + COALESCE(cache_write_tokens, 0)
                WHEN outcome = 'rate_limited' THEN 0
                ELSE COALESCE(estimated_output_tokens, 0) END,
           COALESCE(cost_usd, 0.0)
      FROM attempts;

UPDATE runs SET spent_attempts = sums.attempts, spent_tokens = sums.tokens, spent_usd = sums.usd, spent_ms = sums.ms
  FROM (SELECT p.run, COUNT(CASE WHEN u.tokens > 0 THEN 1 END) AS attempts, SUM(u.tokens) AS tokens,
               SUM(u.cost_usd) AS usd, SUM(MAX(u.ended_at - u.started_at, 0)) AS ms
          FROM used u JOIN phases p ON p.id = u.phase
         WHERE u.agent IS NOT NULL AND u.ended_at IS NOT NULL GROUP BY p.run) AS sums
 WHERE runs.id = sums.run;

CREATE TRIGGER attempts_are_added_up
    AFTER UPDATE OF ended_at ON attempts
    WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL AND NEW.agent IS NOT NULL
BEGIN
    UPDATE runs SET spent_attempts = spent_attempts + (u.tokens > 0), spent_tokens = spent_tokens + u.tokens,
                    spent_usd = spent_usd + u.cost_usd,
                    spent_ms = spent_ms + MAX(u.ended_at - u.started_at, 0)
      FROM used u
     WHERE u.id = NEW.id AND runs.id = (SELECT run FROM phases WHERE id = NEW.phase);
END;
