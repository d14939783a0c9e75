-- Tells drains on other machines what changed. A transaction tells of each kind at most once.
CREATE FUNCTION tell_of_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('autopack', TG_ARGV[0]);
    RETURN NULL;
END
$$;

CREATE TRIGGER tells_of_queue AFTER INSERT OR UPDATE OR DELETE ON queue_members
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change('queue');
CREATE TRIGGER tells_of_work AFTER INSERT OR DELETE OR UPDATE OF state ON phases
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change('work');
CREATE TRIGGER tells_of_pauses AFTER UPDATE OF paused_at ON runs
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change('work');
CREATE TRIGGER tells_of_held_phases AFTER UPDATE OF held ON phases
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change('stop');
CREATE TRIGGER tells_of_stops AFTER UPDATE OF stop, winding_down ON owners
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change('stop');
