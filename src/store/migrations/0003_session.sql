-- What the agent calls the session of the attempt, for a retry that goes on with it.
ALTER TABLE attempts ADD COLUMN session TEXT;
