"""A spec-first JSON API over PostgreSQL: the spec routes to controllers, controllers use g.db."""

__version__ = "1.0.0"
