-- The places: continents, countries, subdivisions, cities, their names, airports.
--
-- For PostgreSQL 15 to 18. Both extensions are trusted: the owner of the database may create them.
--
-- Search keys. `search_key` is the folded form of a name (no case, no accents), made in Python
-- (swagger_server/search_key.py), because unaccent() is not immutable and folds less. It has the collation "C":
-- a plain index on it then answers =, LIKE 'prefix%', ranges and ORDER BY alike, and sorts the same on every server.
--
-- Unique codes are deferrable: in a new version of the data a code may have moved from one row to another.
--
-- Positions. `position` is the point on the unit sphere: no seam at the date line, no trouble at the poles, and its
-- GiST index finds the nearest. It is generated from lat and lon, so it cannot disagree with them.
--
--   The ten nearest, 0.1 ms:    ORDER BY position <-> unit_vector(lat, lon) LIMIT 10
--   Within a radius as well:    position <@ cube_enlarge(unit_vector(lat, lon), chord(km), 3)
--                               AND position <-> unit_vector(lat, lon) <= chord(km)
--
-- The box is for the index: with the distance alone, a radius with fewer than ten in it walks the whole index (50 ms).

CREATE EXTENSION IF NOT EXISTS cube;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The bodies are parsed now and not at each call: they work whatever search_path is (pg_restore empties it).
CREATE FUNCTION unit_vector(lat double precision, lon double precision) RETURNS cube
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN cube(ARRAY[cos(radians(lat)) * cos(radians(lon)), cos(radians(lat)) * sin(radians(lon)), sin(radians(lat))]);
COMMENT ON FUNCTION unit_vector IS 'The point on the unit sphere at degrees lat and lon.';

-- least(): rounding can make the chord between opposite points a hair longer than 2.
CREATE FUNCTION great_circle_km(chord double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 2 * 6371.0088 * asin(least(chord / 2, 1));
COMMENT ON FUNCTION great_circle_km IS 'Kilometres over the ground, from the straight distance (a <-> b) of two unit vectors.';

CREATE FUNCTION chord(km double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 2 * sin(least(km / (2 * 6371.0088), pi() / 2));
COMMENT ON FUNCTION chord IS 'The opposite of great_circle_km: the straight distance of two unit vectors that are km apart.';

CREATE TABLE continent (
    code       text PRIMARY KEY,
    name       text NOT NULL,
    geonameid  integer NOT NULL
);

CREATE TABLE currency (
    code  text PRIMARY KEY,
    name  text NOT NULL
);

CREATE TABLE language (
    code  text PRIMARY KEY,
    name  text NOT NULL
);
COMMENT ON COLUMN language.code IS 'ISO 639-1 where there is one, else ISO 639-3 or 639-5.';

CREATE TABLE country (
    iso2               text PRIMARY KEY,
    iso3               text NOT NULL UNIQUE DEFERRABLE,
    iso_numeric        integer NOT NULL,
    name               text NOT NULL,
    search_key         text COLLATE "C" NOT NULL,
    continent_code     text NOT NULL REFERENCES continent,
    capital_city_id    integer,
    area_km2           numeric NOT NULL,
    population         bigint NOT NULL,
    currency_code      text REFERENCES currency,
    dialling_code      text,
    tld                text,
    postal_code_regex  text
);
COMMENT ON COLUMN country.iso_numeric IS 'ISO 3166-1 numeric; 0 where ISO has given none.';

CREATE TABLE country_language (
    country_iso2   text NOT NULL REFERENCES country,
    language_tag   text NOT NULL,
    language_code  text REFERENCES language,
    position       smallint NOT NULL,
    PRIMARY KEY (country_iso2, language_tag)
);
COMMENT ON COLUMN country_language.position IS 'From 1, the most spoken first.';
CREATE INDEX country_language_language ON country_language (language_code);

CREATE TABLE country_neighbour (
    country_iso2    text NOT NULL REFERENCES country,
    neighbour_iso2  text NOT NULL REFERENCES country,
    PRIMARY KEY (country_iso2, neighbour_iso2)
);

CREATE TABLE subdivision (
    code          text PRIMARY KEY,
    country_iso2  text NOT NULL REFERENCES country,
    name          text NOT NULL,
    search_key    text COLLATE "C" NOT NULL
);
COMMENT ON COLUMN subdivision.code IS 'Country and GeoNames'' first-level code, such as "FR.11".';
CREATE INDEX subdivision_country ON subdivision (country_iso2, search_key, code);

CREATE TABLE timezone (
    name          text PRIMARY KEY,
    country_iso2  text REFERENCES country
);
COMMENT ON COLUMN timezone.country_iso2 IS 'The country that most of its cities, or else airports, lie in.';

CREATE TABLE city (
    id                integer PRIMARY KEY,
    name              text NOT NULL,
    search_key        text COLLATE "C" NOT NULL,
    country_iso2      text NOT NULL REFERENCES country,
    subdivision_code  text REFERENCES subdivision,
    population        bigint NOT NULL,
    lat               double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon               double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    position          cube NOT NULL GENERATED ALWAYS AS (unit_vector(lat, lon)) STORED,
    timezone_name     text NOT NULL REFERENCES timezone,
    label             text NOT NULL
);
COMMENT ON COLUMN city.id IS 'The geonameid.';
COMMENT ON COLUMN city.label IS 'Tells namesakes apart: "Paris, Île-de-France, France".';

-- Own names by their beginning: search_key ^@ 'munch'.
CREATE INDEX city_prefix ON city (search_key);
-- A list of cities is read from the largest down, and so is, for a while, a search of one or two letters.
CREATE INDEX city_population ON city (population DESC, id);
CREATE INDEX city_country_population ON city (country_iso2, population DESC, id);
CREATE INDEX city_subdivision_population ON city (subdivision_code, population DESC, id);
CREATE INDEX city_timezone ON city (timezone_name);
CREATE INDEX city_position ON city USING gist (position);
-- Typos in own names, which is nearly all of them: 34,000 keys, 1 to 2 ms.
CREATE INDEX city_trigram ON city USING gin (search_key gin_trgm_ops);

ALTER TABLE country ADD FOREIGN KEY (capital_city_id) REFERENCES city;
CREATE INDEX country_capital ON country (capital_city_id);

-- One row for each different key: "Pariz" and "Pariž" are one. The primary key also answers "the names of this city"
-- and "has this city a name with this prefix".
CREATE TABLE city_name (
    city_id     integer NOT NULL REFERENCES city ON DELETE CASCADE,
    name        text NOT NULL,
    search_key  text COLLATE "C" NOT NULL,
    kind        smallint NOT NULL CHECK (kind BETWEEN 0 AND 2),
    PRIMARY KEY (city_id, search_key)
);
COMMENT ON COLUMN city_name.kind IS '0 the own name, 1 an alternate name, 2 a three-letter code such as "NYC".';

-- Exact and prefix: search_key LIKE 'munch%'. The other columns ride along, so that ranking reads no table pages. For
-- one or two letters the planner may take the trigram index for LIKE; >= and < leave it no such choice.
CREATE INDEX city_name_prefix ON city_name (search_key) INCLUDE (city_id, kind);
-- Typos in any name ("colonge" for Köln): 320,000 keys, 5 to 20 ms, for what city_trigram does not find.
CREATE INDEX city_name_trigram ON city_name USING gin (search_key gin_trgm_ops);

CREATE TABLE airport (
    icao              text PRIMARY KEY,
    iata              text UNIQUE DEFERRABLE,
    name              text NOT NULL,
    search_key        text COLLATE "C" NOT NULL,
    city_text         text,
    city_search_key   text COLLATE "C",
    subdivision_text  text,
    country_iso2      text REFERENCES country,
    city_id           integer REFERENCES city ON DELETE SET NULL,
    city_distance_km  double precision,
    elevation_m       integer,
    lat               double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon               double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    position          cube NOT NULL GENERATED ALWAYS AS (unit_vector(lat, lon)) STORED,
    timezone_name     text NOT NULL REFERENCES timezone
);
COMMENT ON COLUMN airport.icao IS 'The ICAO code, or what the source uses in its place.';
COMMENT ON COLUMN airport.city_text IS 'The city as the source spells it; city_search_key is its search key.';
COMMENT ON COLUMN airport.city_id IS 'The city that it serves where the source names one of ours nearby, else the nearest.';

CREATE INDEX airport_prefix ON airport (search_key);
CREATE INDEX airport_city_prefix ON airport (city_search_key);
-- Typos, and words in the middle: search_key LIKE '%heathrow%'.
CREATE INDEX airport_trigram ON airport USING gin (search_key gin_trgm_ops, city_search_key gin_trgm_ops);
CREATE INDEX airport_country ON airport (country_iso2, search_key, icao);
CREATE INDEX airport_city ON airport (city_id);
CREATE INDEX airport_timezone ON airport (timezone_name);
CREATE INDEX airport_position ON airport USING gist (position);
-- Most airfields have no IATA code; "the nearest airport" mostly means one that has.
CREATE INDEX airport_iata_position ON airport USING gist (position) WHERE iata IS NOT NULL;

CREATE TABLE data_source (
    name         text PRIMARY KEY,
    version      text NOT NULL,
    rows         bigint NOT NULL,
    licence      text NOT NULL,
    url          text NOT NULL,
    attribution  text NOT NULL,
    loaded_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE data_source IS 'Where the places come from, and under which terms.';
