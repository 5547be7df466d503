"""What a pool is worth on a database: the same requests with a connection each, and with pooled ones.

Owns the measuring; asking and printing are the command's. Knows the pool, psycopg2 and a server's limits; reads no
settings, and knows no Flask.
"""

from swagger_server.compare.crowd import Crowd, crowd_connecting, crowd_pooled
from swagger_server.compare.memory import SessionMemory, session_memory
from swagger_server.compare.room import Fitting, Shares, fitting, sessions_of, shares_of
from swagger_server.compare.server import Server, ask_server, wait_until_closed
from swagger_server.compare.speed import Speed, connection_times, speeds
from swagger_server.compare.ways import SESSION_NAME, STATEMENT, Connecting, Pooled

__all__ = [
    "SESSION_NAME",
    "STATEMENT",
    "Connecting",
    "Crowd",
    "Fitting",
    "Pooled",
    "Server",
    "SessionMemory",
    "Shares",
    "Speed",
    "ask_server",
    "connection_times",
    "crowd_connecting",
    "crowd_pooled",
    "fitting",
    "session_memory",
    "sessions_of",
    "shares_of",
    "speeds",
    "wait_until_closed",
]
