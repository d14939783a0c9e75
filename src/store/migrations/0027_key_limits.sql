-- Rate limits that belong to the key of a provider: they hold for all agents and machines with the key, and for no others.
CREATE TABLE key_limits (
    -- Salted hash of the key.
    fingerprint TEXT PRIMARY KEY NOT NULL,
    -- The same for all rows.
    salt        TEXT NOT NULL,
    -- Agent that met the limit, for people.
    agent       TEXT NOT NULL,
    until_ms    INTEGER NOT NULL
) STRICT;
-- The key whose limit defers the phase; NULL: the deferral holds for everyone.
ALTER TABLE phases ADD COLUMN deferred_key TEXT;
