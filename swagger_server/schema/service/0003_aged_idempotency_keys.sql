-- Aged keys go, whosever they are: an owner that never comes back would leave its own for ever.
--
-- Who writes under a key claims to be housekeeping for the one statement that removes them. The claim opens keys of any
-- owner, but none that is not long answered: no setting can keep one for less than ten minutes more.
CREATE POLICY aged ON idempotency_key
    USING (
        current_setting('request.housekeeping', true) = 'idempotency_key'
        AND created_at < now() - interval '10 minutes'
    )
    WITH CHECK (false);

DROP INDEX idempotency_key_age;
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
