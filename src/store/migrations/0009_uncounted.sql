-- Attempts since the last one that charged a try.
ALTER TABLE phases ADD COLUMN uncounted INTEGER NOT NULL DEFAULT 0 CHECK (uncounted >= 0);
