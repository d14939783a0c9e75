-- Files of attempts, for other machines. Written only at a server: beside a database in a file, the files are there.

-- Host that executed the attempt. NULL: before it had a slot, or executed by an older autopack.
ALTER TABLE attempts ADD COLUMN host TEXT;

-- Attempts whose files were stored.
CREATE TABLE artifact_uploads (
    attempt    INTEGER PRIMARY KEY REFERENCES attempts (id) ON DELETE CASCADE,
    stored_at  INTEGER NOT NULL,
    -- When `gc` removed the files; NULL: they are there.
    removed_at INTEGER
) STRICT;

CREATE TABLE artifacts (
    attempt  INTEGER NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    name     TEXT    NOT NULL,
    -- Order of creation.
    position INTEGER NOT NULL,
    -- Bytes of the file, and how many of them are kept from its beginning; the rest of the content is its end.
    size     INTEGER NOT NULL,
    head     INTEGER NOT NULL,
    -- Compressed by zlib.
    content  BLOB    NOT NULL,
    PRIMARY KEY (attempt, name)
) STRICT;

-- Running attempts whose logs somebody follows from another machine, with the time of the last question.
CREATE TABLE log_followers (
    attempt  INTEGER PRIMARY KEY REFERENCES attempts (id) ON DELETE CASCADE,
    asked_at INTEGER NOT NULL
) STRICT;

-- What was added to the logs of a followed attempt, in order. Replaced by the artifacts at its end.
CREATE TABLE log_parts (
    attempt INTEGER NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    number  INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    -- Place of the part in the file, in bytes.
    start   INTEGER NOT NULL,
    length  INTEGER NOT NULL,
    content BLOB    NOT NULL,
    PRIMARY KEY (attempt, number)
) STRICT;
