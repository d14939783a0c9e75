-- What was remembered, redacted. `hash` is of text, payload and source; `embedder` made its vector, if it has one yet.
CREATE TABLE entry (
    row_id     INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    collection TEXT NOT NULL,
    run_id     TEXT,
    phase_id   TEXT,
    source     TEXT NOT NULL,
    text       TEXT NOT NULL,
    payload    TEXT NOT NULL,
    hash       TEXT NOT NULL,
    embedder   TEXT,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER
) STRICT;
CREATE INDEX entry_by_run ON entry (collection, run_id);
CREATE INDEX entry_by_source ON entry (collection, source);
CREATE INDEX entry_by_embedder ON entry (embedder);
CREATE INDEX entry_by_expiry ON entry (expires_ms) WHERE expires_ms IS NOT NULL;

-- The log that every index follows: the last change of each entry under each embedder. A change without a
-- vector is a tombstone; it outlives its entry, since only a tombstone may delete a point elsewhere.
CREATE TABLE change (
    n          INTEGER PRIMARY KEY AUTOINCREMENT,
    entry_id   TEXT NOT NULL,
    collection TEXT NOT NULL,
    embedder   TEXT NOT NULL,
    vector     BLOB,
    UNIQUE (entry_id, embedder)
) STRICT;
CREATE INDEX change_by_embedder ON change (embedder, n);

-- How far an index has followed the log.
CREATE TABLE follower (
    name      TEXT PRIMARY KEY,
    applied_n INTEGER NOT NULL,
    synced_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Terms as the builtin tokenizer splits them (identifiers at case and underscore); the text itself is in `entry`.
CREATE VIRTUAL TABLE entry_terms USING fts5(terms, content='', contentless_delete=1, tokenize="unicode61 tokenchars '_'");
