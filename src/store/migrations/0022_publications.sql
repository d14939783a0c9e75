-- Branches pushed by `publish`, with their pull requests.
CREATE TABLE publications (
    run          INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    -- Name of the git remote, and of the branch there.
    remote       TEXT    NOT NULL,
    branch       TEXT    NOT NULL,
    -- The commit pushed last: only this one may be replaced.
    pushed       TEXT    NOT NULL,
    -- Branch into which the pull request goes.
    base         TEXT,
    -- Repository of the pull request, such as `github:owner/repo`, with its number, link and title. NULL: none yet.
    forge        TEXT,
    number       INTEGER,
    url          TEXT,
    title        TEXT,
    published_at INTEGER NOT NULL,
    PRIMARY KEY (run, remote, branch),
    CHECK ((number IS NULL) = (forge IS NULL)),
    CHECK ((number IS NULL) = (url IS NULL)),
    CHECK ((number IS NULL) = (title IS NULL))
) STRICT;

-- Comments on issues of failed phases: the last one of each phase.
CREATE TABLE issue_remarks (
    phase        INTEGER PRIMARY KEY REFERENCES phases (id) ON DELETE CASCADE,
    -- Digest of the reason in the comment.
    reason       TEXT    NOT NULL,
    url          TEXT    NOT NULL,
    commented_at INTEGER NOT NULL
) STRICT;
