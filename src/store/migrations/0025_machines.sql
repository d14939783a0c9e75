-- Drains of several machines.

-- Labels of the drain's machine, as a JSON list: a phase may ask for them.
ALTER TABLE owners ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
-- Number of workers; NULL: not a drain, or registered by an older autopack.
ALTER TABLE owners ADD COLUMN workers INTEGER;
-- Last heartbeat by the clock of the database, which all machines share. Only shown: a lease is judged by whether the heartbeat
-- changes. NULL: none yet.
ALTER TABLE owners ADD COLUMN renewed_at INTEGER;
