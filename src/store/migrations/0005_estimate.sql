-- What an estimate is made of, beside what the attempt says already. NULL: before it was recorded.
ALTER TABLE attempts ADD COLUMN description_chars INTEGER;
-- JSON list, one entry a deliverable: the size of what stood there before the agent started, null where nothing did.
ALTER TABLE attempts ADD COLUMN existing_bytes TEXT;
ALTER TABLE samples ADD COLUMN description_chars INTEGER;
ALTER TABLE samples ADD COLUMN existing_bytes TEXT;

-- What was learnt from samples, version after version. None is active: the shipped estimate holds.
CREATE TABLE calibrations (
    version      INTEGER PRIMARY KEY,
    created_at   INTEGER NOT NULL,
    -- How many samples it was fitted on.
    samples      INTEGER NOT NULL CHECK (samples >= 0),
    -- JSON; its shape is the estimate's.
    coefficients TEXT    NOT NULL,
    -- The version that it took over from, for going back; NULL: the shipped one.
    previous     INTEGER REFERENCES calibrations (version),
    active       INTEGER NOT NULL CHECK (active IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX calibrations_active ON calibrations (active) WHERE active = 1;
