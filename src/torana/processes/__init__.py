"""The processes of one host: starting, watching and stopping them, and the embedded Redis.

This package owns process groups, sockets' addresses, lock files and what keeps a tree of processes
from leaving orphans. It must not know Flask, SQLAlchemy or gevent, nor what its children do.
"""
