CREATE TABLE key_limits (
    fingerprint TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    salt        TEXT COLLATE "C" NOT NULL,
    agent       TEXT COLLATE "C" NOT NULL,
    until_ms    BIGINT NOT NULL
);
ALTER TABLE phases ADD COLUMN deferred_key TEXT COLLATE "C";
