-- Aged keys go, whosever they are: an owner that never comes back would leave its own for ever.
--
-- Whoever writes under a key calls forget_idempotency_keys. Only while that runs is the policy `aged` open: its caller
-- sees and removes nothing of another owner by itself, and learns nothing from the call. (Not by the function's SET:
-- only a superuser may define one of a setting that no module has declared.)

CREATE POLICY aged ON idempotency_key USING (current_setting('request.housekeeping', true) = 'idempotency_key')
    WITH CHECK (false);

CREATE FUNCTION forget_idempotency_keys(age interval, most integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.housekeeping', 'idempotency_key', true);
    DELETE FROM idempotency_key WHERE (owner, key) IN (
        SELECT owner, key FROM idempotency_key WHERE created_at < now() - age
        ORDER BY created_at LIMIT most FOR UPDATE SKIP LOCKED);
    PERFORM set_config('request.housekeeping', '', true);
END $$;
COMMENT ON FUNCTION forget_idempotency_keys IS 'Remove the oldest keys of at least that age, at most so many, none that somebody has in hand.';

DROP INDEX idempotency_key_age;
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
