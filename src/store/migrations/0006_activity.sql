-- What a running attempt does now, as people read it, and since when.
ALTER TABLE attempts ADD COLUMN activity TEXT;
ALTER TABLE attempts ADD COLUMN activity_at INTEGER;
