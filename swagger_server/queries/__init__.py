"""The SQL of the API: named constants, and functions that take the connection first.

PostgreSQL makes the JSON; the functions return it as text. They know neither Flask nor HTTP: nothing found
is None or an empty page. They wait for as long as the connection lets a statement run, and raise
psycopg2's errors.
"""
