-- The answers to writes that were sent with an Idempotency-Key, for those who send them again.
--
-- A row is written in the transaction of the write that it answers for: it is there if and only if the write is. Rows
-- are their owner's alone, by what a request claims; the role that it acts as needs SELECT, INSERT, UPDATE and DELETE.

CREATE TABLE idempotency_key (
    owner        text COLLATE "C" NOT NULL CHECK (owner <> ''),
    key          text COLLATE "C" NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    operation    text NOT NULL,
    fingerprint  bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    status       smallint,
    headers      jsonb,
    body         bytea,
    PRIMARY KEY (owner, key)
);
COMMENT ON COLUMN idempotency_key.fingerprint IS 'SHA-256 of the body that was sent.';
COMMENT ON COLUMN idempotency_key.status IS 'Null only inside the transaction that makes the answer.';

CREATE INDEX idempotency_key_age ON idempotency_key (owner, created_at);

ALTER TABLE idempotency_key ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON idempotency_key USING (owner = current_setting('request.owner', true));
