"""Can this SQL text leave something behind in the session that runs it?

Knows SQL words only: no connection, no pool. It errs on the side of "yes": what it doesn't recognise as
harmless counts as a change. What it cannot see is a function that a trigger, a view, an operator or a cast
calls.
"""

import re
from functools import lru_cache

OWN_PREFIX = "swagger_server_"
"""Prepared statements whose names begin so belong to the pool's users as a whole; cleaning keeps them."""

LONGEST_TEXT = 10_000
"""Characters. Longer texts (bulk inserts) are not read: cleaning a session costs less than reading them."""

_QUOTED_OR_COMMENT = re.compile(
    r"""
      [eE]'(?:[^'\\]|\\.|'')*'        # escape string
    | '(?:[^']|'')*'                  # string
    | "(?:[^"]|"")*"                  # quoted name
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ # dollar-quoted string
    | --[^\n]*                        # comment
    | /\*[^*]*\*+(?:[^/*][^*]*\*+)*/  # comment, not nested
    """,
    re.VERBOSE | re.DOTALL,
)

_HARMLESS_START = re.compile(
    r"""(?:
      select | with | values | table | insert | update | delete | merge | show | explain | copy
    | begin | start\ transaction | commit | end | rollback | abort | savepoint | release
    | set\ local | set\ transaction | set\ constraints
    | declare | fetch | move | close | lock | truncate | notify
    | (?:prepare | execute | deallocate)\ swagger_server_\w+
    )\b""",
    re.VERBOSE,
)

_SUSPECT_WORD = re.compile(r"\b(?:temp|temporary|pg_temp\w*|hold)\b|\bcommit prepared\b|/\*")

# A name before a parenthesis that is a list of columns, not a call.
_COLUMN_LIST = re.compile(
    r"\b(?:into|copy|as|with|recursive|execute|prepare)\s+[\w.]+\s*\(|,\s*\w+\s*\([\w\s,]*\)\s+as\b"
)

_CALL = re.compile(r"([\w.]+)\s*\(")

_NOT_FUNCTIONS = """
    in values and or not as on using exists any all some over filter group by from where select join lateral
    limit offset union except intersect returning then else when case between like ilike is materialized set
    rows row array having distinct conflict interval numeric decimal varchar char character bit timestamp
    timestamptz time cast within partition order window only key columns explain verbose analyze
"""

_FUNCTIONS = """
    count sum avg min max bool_and bool_or every stddev variance percentile_cont percentile_disc mode
    coalesce nullif greatest least abs ceil ceiling floor round trunc sign sqrt power exp ln log mod div
    random sin cos tan asin acos atan atan2 sind cosd asind acosd pi degrees radians width_bucket lower upper
    initcap length char_length octet_length substr substring position strpos overlay trim ltrim rtrim btrim
    replace translate reverse repeat split_part concat concat_ws format left right lpad rpad md5 sha256 encode
    decode chr ascii starts_with normalize quote_ident quote_literal quote_nullable to_hex regexp_replace
    regexp_match regexp_matches regexp_split_to_array regexp_split_to_table regexp_count regexp_like
    similarity word_similarity strict_word_similarity unaccent levenshtein to_char to_date to_timestamp
    to_number to_tsvector to_tsquery plainto_tsquery websearch_to_tsquery ts_rank now clock_timestamp
    statement_timestamp transaction_timestamp timeofday date_trunc date_part date_bin extract age make_date
    make_time make_timestamp make_timestamptz make_interval justify_days justify_hours isfinite timezone
    current_timestamp localtimestamp current_time localtime json_agg jsonb_agg json_object_agg
    jsonb_object_agg json_build_object jsonb_build_object json_build_array jsonb_build_array row_to_json
    to_json to_jsonb json_strip_nulls jsonb_strip_nulls json_array_length jsonb_array_length
    json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text json_each
    jsonb_each json_each_text jsonb_each_text json_object_keys jsonb_object_keys jsonb_set jsonb_insert
    jsonb_path_query jsonb_path_exists jsonb_typeof json_typeof json_populate_record jsonb_populate_record
    json_to_recordset jsonb_to_recordset json_to_record jsonb_to_record array_agg string_agg unnest
    generate_series generate_subscripts array_length array_position array_append array_prepend array_cat
    array_remove array_to_string string_to_array cardinality array_dims row_number rank dense_rank
    percent_rank cume_dist ntile lag lead first_value last_value nth_value grouping cube cube_distance
    cube_enlarge cube_ll_coord earth_distance ll_to_earth point box int4range int8range tsrange tstzrange
    daterange numrange range_agg lower_inc upper_inc isempty gen_random_uuid uuidv4 uuidv7 hashtext nextval
    currval setval lastval version current_setting current_database current_schema current_schemas
    pg_backend_pid pg_is_in_recovery pg_sleep pg_typeof pg_size_pretty pg_database_size pg_relation_size
    pg_total_relation_size pg_get_viewdef pg_get_indexdef pg_get_constraintdef format_type col_description
    obj_description to_regclass to_regtype txid_current pg_current_xact_id pg_postmaster_start_time
    pg_terminate_backend pg_cancel_backend pg_notify pg_advisory_xact_lock pg_try_advisory_xact_lock
    pg_advisory_xact_lock_shared pg_try_advisory_xact_lock_shared has_table_privilege inet_server_addr
"""

_HARMLESS_CALLS = frozenset(_NOT_FUNCTIONS.split() + _FUNCTIONS.split())


def leaves_session_alone(text: str) -> bool:
    """True when nothing in `text` can outlive its transaction in the session."""
    return len(text) <= LONGEST_TEXT and _leaves_alone(text)


@lru_cache(maxsize=512)
def _leaves_alone(text: str) -> bool:
    bare = _QUOTED_OR_COMMENT.sub(_blank, text).lower()
    statements = (" ".join(statement.split()) for statement in bare.split(";"))
    return all(_is_harmless(statement) for statement in statements if statement)


def _blank(match: re.Match[str]) -> str:
    # A quoted name stays a name, one that is nobody's: `"f"(1)` must still look like a call of something
    # unknown.
    return ' quoted"name ' if match[0].startswith('"') else " ' "


def _is_harmless(statement: str) -> bool:
    if not _HARMLESS_START.match(statement) or _SUSPECT_WORD.search(statement):
        return False
    called = _CALL.findall(_COLUMN_LIST.sub(", (", statement))
    return all(name.removeprefix("pg_catalog.") in _HARMLESS_CALLS for name in called)
