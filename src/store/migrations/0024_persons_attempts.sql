-- An attempt of a person: `autopack land` judges the work that was done in a slot by hand.
ALTER TABLE attempts ADD COLUMN by_person INTEGER NOT NULL DEFAULT 0 CHECK (by_person IN (0, 1));
