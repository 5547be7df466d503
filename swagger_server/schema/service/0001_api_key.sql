-- Who may call: one row for each key that was ever given out.
--
-- The key itself, 256 random bits, is nowhere: only its SHA-256, which is looked up by its index. A slow hash would
-- add nothing, since nobody can try out 2^256 keys, and a look-up tells by its time no more than bits of that hash.

CREATE TABLE api_key (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner         text NOT NULL CHECK (char_length(owner) BETWEEN 1 AND 200),
    hash          bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    scopes        text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'admin'] AND cardinality(scopes) BETWEEN 1 AND 3),
    label         text NOT NULL DEFAULT '' CHECK (char_length(label) <= 100),
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);
COMMENT ON COLUMN api_key.last_used_at IS 'To the minute: written at most once in that time.';

CREATE INDEX api_key_of_owner ON api_key (owner, created_at, id);
