-- Sites: places that belong to somebody, an owner, and are nobody else's business.
--
-- Whose rows. Requests act as the role swagger_server_sites and claim an owner (SET LOCAL request.owner); the policy
-- lets them see and write that owner's rows alone, and without a claim none. FORCE, so that it holds for the table's
-- own owner too. Superusers are above all policies: that is why requests act as a role that is none.
--
-- Policies and plans. What an index may look up comes after the policy unless its operator is leakproof: = and < of
-- texts are, LIKE and the operators of cube are not. So the indexes begin with the owner, and the one of positions is
-- asked for an order, which is no condition.
--
-- No foreign keys to the places. Those are replaced as a whole by newer data: that must neither be held up by
-- somebody's site nor take a city's number out of it. That the city is there is asked when a site is written.

CREATE EXTENSION IF NOT EXISTS btree_gist;

DO $$
BEGIN
    IF to_regrole('swagger_server_sites') IS NULL THEN
        CREATE ROLE swagger_server_sites NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL; -- made for another database of this server at the same moment
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role % may not make the role that requests act as: have an administrator run "CREATE ROLE swagger_server_sites NOLOGIN; GRANT swagger_server_sites TO %"',
            current_user, quote_ident(current_user) USING ERRCODE = 'insufficient_privilege';
END $$;

DO $$
DECLARE
    -- Before 16 a member may always become the role.
    can_set CONSTANT text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    IF NOT pg_has_role(current_user, 'swagger_server_sites', can_set) THEN
        EXECUTE format('GRANT swagger_server_sites TO %I', current_user)
            || CASE can_set WHEN 'SET' THEN ' WITH SET TRUE, INHERIT FALSE' ELSE '' END;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role % may not become the role that requests act as: have an administrator run "GRANT swagger_server_sites TO %"',
            current_user, quote_ident(current_user) USING ERRCODE = 'insufficient_privilege';
END $$;

-- SQL has no CHECK that looks into an array without a function. In plpgsql it takes a quarter of the time of a query.
CREATE FUNCTION texts_are_within(texts text[], most integer, longest integer) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    each_text text;
BEGIN
    IF cardinality(texts) > most THEN
        RETURN false;
    END IF;
    FOREACH each_text IN ARRAY texts LOOP
        IF each_text IS NULL OR char_length(each_text) NOT BETWEEN 1 AND longest THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION texts_are_within IS 'At most so many texts, each of 1 to so many characters.';

CREATE TABLE site (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner               text COLLATE "C" NOT NULL CHECK (char_length(owner) BETWEEN 1 AND 200),
    external_id         text COLLATE "C" CHECK (char_length(external_id) BETWEEN 1 AND 200),
    name                text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    search_key          text COLLATE "C" NOT NULL,
    tags                text[] NOT NULL DEFAULT '{}' CHECK (texts_are_within(tags, 50, 60)),
    address_lines       text[] NOT NULL DEFAULT '{}' CHECK (texts_are_within(address_lines, 10, 200)),
    city_id             integer CHECK (city_id > 0),
    city_text           text CHECK (char_length(city_text) BETWEEN 1 AND 200),
    country_iso2        text COLLATE "C" CHECK (country_iso2 ~ '^[A-Z]{2}$'),
    country_is_citys    boolean NOT NULL DEFAULT false,
    lat                 double precision CHECK (lat BETWEEN -90 AND 90),
    lon                 double precision CHECK (lon BETWEEN -180 AND 180),
    position_is_citys   boolean NOT NULL DEFAULT false,
    position            cube GENERATED ALWAYS AS (CASE WHEN lat IS NOT NULL AND lon IS NOT NULL THEN unit_vector(lat, lon) END) STORED,
    opening_hours       text CHECK (char_length(opening_hours) BETWEEN 1 AND 1000),
    phone               text CHECK (char_length(phone) BETWEEN 1 AND 50),
    url                 text CHECK (char_length(url) BETWEEN 1 AND 2000),
    attributes          jsonb NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(attributes) = 'object' AND octet_length(attributes::text) <= 32768),
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, external_id),
    CHECK ((lat IS NULL) = (lon IS NULL))
);
COMMENT ON COLUMN site.search_key IS 'Of the name; see 0001_places.sql.';
COMMENT ON COLUMN site.city_text IS 'The city in the owner''s words.';
COMMENT ON COLUMN site.country_is_citys IS 'Nobody has given a country: it was taken from the city.';
COMMENT ON COLUMN site.position_is_citys IS 'Nobody has given lat and lon: they were taken from the city.';
COMMENT ON COLUMN site.opening_hours IS 'In the notation of OpenStreetMap.';
COMMENT ON COLUMN site.attributes IS 'As JSON of up to 16 kB, which with PostgreSQL''s own spaces is longer.';
COMMENT ON COLUMN site.version IS 'One more with each change.';

CREATE INDEX site_name ON site (owner, search_key, id);
CREATE INDEX site_position ON site USING gist (owner, position) WHERE position IS NOT NULL;

ALTER TABLE site ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON site USING (owner = current_setting('request.owner', true));

GRANT SELECT, INSERT, UPDATE, DELETE ON site, idempotency_key TO swagger_server_sites;
GRANT SELECT ON continent, country, country_language, country_neighbour, currency, language, subdivision, timezone,
    city, city_name, airport, data_source TO swagger_server_sites;

DO $$
BEGIN
    IF NOT has_schema_privilege('swagger_server_sites', current_schema(), 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO swagger_server_sites', current_schema());
    END IF;
END $$;

-- An import puts its rows into a temporary table first.
DO $$
BEGIN
    IF NOT has_database_privilege('swagger_server_sites', current_database(), 'TEMPORARY') THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO swagger_server_sites', current_database());
    END IF;
    IF NOT has_database_privilege('swagger_server_sites', current_database(), 'TEMPORARY') THEN
        RAISE insufficient_privilege; -- GRANT only warns of that
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role % may not let requests have temporary tables: have an administrator run "GRANT TEMPORARY ON DATABASE % TO swagger_server_sites"',
            current_user, quote_ident(current_database()) USING ERRCODE = 'insufficient_privilege';
END $$;
