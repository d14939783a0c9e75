ALTER TABLE attempts ADD COLUMN host TEXT COLLATE "C";

CREATE TABLE artifact_uploads (
    attempt BIGINT PRIMARY KEY REFERENCES attempts (id) ON DELETE CASCADE,
    stored_at BIGINT NOT NULL,
    removed_at BIGINT
);

CREATE TABLE artifacts (
    attempt BIGINT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    size BIGINT NOT NULL,
    head BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (attempt, name)
);
-- The content is compressed already.
ALTER TABLE artifacts ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE log_followers (
    attempt BIGINT PRIMARY KEY REFERENCES attempts (id) ON DELETE CASCADE,
    asked_at BIGINT NOT NULL
);

CREATE TABLE log_parts (
    attempt BIGINT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (attempt, number)
);
ALTER TABLE log_parts ALTER COLUMN content SET STORAGE EXTERNAL;
