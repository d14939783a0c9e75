-- Where the phase may write, as a JSON list of folders and files: phases whose footprints overlap do not run at once.
-- NULL: not known yet for the spec as it is.
ALTER TABLE phases ADD COLUMN footprint TEXT;

-- With the footprint, so that a claim passes over those that overlap with what runs without reading the table.
DROP INDEX phases_claimable;
CREATE INDEX phases_claimable ON phases (run, band, position, not_before, footprint)
    WHERE state = 'QUEUED' AND unmet = 0;
