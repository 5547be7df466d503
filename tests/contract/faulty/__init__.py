"""A small service that breaks its contract on purpose, once in each operation; it has no database."""
