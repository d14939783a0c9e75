-- The time in seconds, as the function of SQLite with 'subsec'.
CREATE FUNCTION unixepoch(text) RETURNS double precision LANGUAGE sql VOLATILE AS
    'SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)';

ALTER TABLE owners ADD COLUMN labels TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE owners ADD COLUMN workers BIGINT;
ALTER TABLE owners ADD COLUMN renewed_at BIGINT;
