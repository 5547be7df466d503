"""Can this SQL text leave something behind in the session that runs it?

Knows SQL words only: no connection, no pool. It errs on the side of "yes": what it doesn't recognise as
harmless counts as a change. What it cannot see is a function that a trigger, a view, an operator or a cast
calls.
"""

import re

OWN_PREFIX = "swagger_server_"
"""Prepared statements whose names begin so belong to the pool's users as a whole; cleaning keeps them."""

LONGEST_TEXT = 10_000
"""Bytes. Longer texts (bulk inserts) are not read: cleaning a session costs less than reading them."""

MOST_KNOWN = 1000
"""Texts whose answer is remembered."""

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
_QUOTED_NAME = "_quoted_"

_TOKEN = re.compile(r"[\w.]+|[^\w.\s]")

_HARMLESS_STARTS = frozenset(
    [
        *(
            "select",
            "with",
            "values",
            "table",
            "insert",
            "update",
            "delete",
            "merge",
            "copy",
            "show",
            "explain",
        ),
        *(
            "begin",
            "commit",
            "end",
            "rollback",
            "abort",
            "savepoint",
            "release",
            "lock",
            "truncate",
            "notify",
        ),
        *("declare", "fetch", "move", "close"),
    ]
)
_HARMLESS_PAIRS = frozenset(
    [("set", "local"), ("set", "transaction"), ("set", "constraints"), ("start", "transaction")]
)
_OF_PREPARED = frozenset(["prepare", "execute", "deallocate"])
_SUSPECT_WORDS = frozenset(["temp", "temporary", "hold", "prepared"])

_BEFORE_COLUMNS = frozenset(["into", "copy", "as", "with", "recursive", "execute", "prepare"])
"""After these, a name and a parenthesis are no call: columns, an alias, a type or a prepared statement follow."""

# Neither of the two lists may hold a name with a digit in it: see _key.
_NOT_FUNCTIONS = """
    in values and or not as on using exists any all some over filter group by from where select join lateral
    limit offset union except intersect returning then else when case between like ilike is materialized set
    rows row array having distinct conflict interval numeric decimal varchar char character bit timestamp
    timestamptz time cast within partition order window only key columns explain verbose analyze
"""

_FUNCTIONS = """
    count sum avg min max bool_and bool_or every stddev variance percentile_cont percentile_disc mode
    coalesce nullif greatest least abs ceil ceiling floor round trunc sign sqrt power exp ln log mod div
    random sin cos tan asin acos atan sind cosd asind acosd pi degrees radians width_bucket lower upper
    initcap length char_length octet_length substr substring position strpos overlay trim ltrim rtrim btrim
    replace translate reverse repeat split_part concat concat_ws format left right lpad rpad encode
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
    cube_enlarge cube_ll_coord earth_distance ll_to_earth point box tsrange tstzrange
    daterange numrange range_agg lower_inc upper_inc isempty gen_random_uuid hashtext nextval
    currval setval lastval version current_setting current_database current_schema current_schemas
    pg_backend_pid pg_is_in_recovery pg_sleep pg_typeof pg_size_pretty pg_database_size pg_relation_size
    pg_total_relation_size pg_get_viewdef pg_get_indexdef pg_get_constraintdef format_type col_description
    obj_description to_regclass to_regtype txid_current pg_current_xact_id pg_postmaster_start_time
    pg_last_wal_replay_lsn pg_current_wal_insert_lsn
    pg_terminate_backend pg_cancel_backend pg_notify pg_advisory_xact_lock pg_try_advisory_xact_lock
    pg_advisory_xact_lock_shared pg_try_advisory_xact_lock_shared has_table_privilege inet_server_addr
"""

_HARMLESS_CALLS = frozenset(_NOT_FUNCTIONS.split() + _FUNCTIONS.split())

Tokens = list[str]


def leaves_session_alone(text: bytes) -> bool:
    """True when nothing in `text` can outlive its transaction in the session."""
    if len(text) > LONGEST_TEXT:
        return False
    key = _key(text)
    known = _known.get(key)
    if known is None:
        known = _leaves_alone(text.decode("latin-1"))
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[key] = known
    return known


_known: dict[bytes, bool] = {}


def _key(text: bytes) -> bytes:
    """What texts share that differ only in their values, so that each kind is read once.

    Values are strings and digits. A name with a digit in it never counts as harmless, so texts that differ in
    such names may share a key. Where a quote may be something else than the border of a string, the text is
    its own key.
    """
    if b"\\" in text or b"--" in text or b"/*" in text or b"$" in text or b'"' in text:
        return text
    return b"'".join(text.translate(_DIGITS).split(b"'")[::2])


_DIGITS = bytes.maketrans(b"123456789", b"000000000")


def _leaves_alone(text: str) -> bool:
    bare = _QUOTED_OR_COMMENT.sub(_blank, text).lower()
    if "/*" in bare:
        return False  # comments in comments
    return all(_is_harmless(_TOKEN.findall(statement)) for statement in bare.split(";"))


def _blank(match: re.Match[str]) -> str:
    # A quoted name stays a name, one that is nobody's: `"f"(1)` must still look like a call of something unknown.
    return _QUOTED_NAME if match[0].startswith('"') else " ' "


def _is_harmless(statement: Tokens) -> bool:
    return not statement or (
        _begins_harmlessly(statement)
        and _SUSPECT_WORDS.isdisjoint(statement)
        and not any(word.startswith("pg_temp") for word in statement)
        and all(_may_be_called(statement, at) for at, sign in enumerate(statement) if sign == "(")
    )


def _begins_harmlessly(statement: Tokens) -> bool:
    first, second = statement[0], statement[1] if len(statement) > 1 else ""
    if first in _OF_PREPARED:
        return second.startswith(OWN_PREFIX)
    return first in _HARMLESS_STARTS or (first, second) in _HARMLESS_PAIRS


def _may_be_called(statement: Tokens, at: int) -> bool:
    """Is the parenthesis at `at` something else than the call of an unknown function?"""
    name = statement[at - 1] if at else ""
    if not _is_word(name) or name.removeprefix("pg_catalog.") in _HARMLESS_CALLS:
        return True
    before = statement[at - 2] if at > 1 else ""
    return before in _BEFORE_COLUMNS or (before == "," and _is_followed_by_as(statement, at))


def _is_word(token: str) -> bool:
    return token.replace(".", "_").isidentifier()


def _is_followed_by_as(statement: Tokens, at: int) -> bool:
    """A further WITH query that names its columns: `, name (a, b) AS`."""
    end = statement.index(")", at) if ")" in statement[at:] else at
    names = statement[at + 1 : end]
    return all(name == "," or _is_word(name) for name in names) and statement[end + 1 : end + 2] == ["as"]
