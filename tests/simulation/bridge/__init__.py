"""Fleets of Couchbase Lite 3.x peers, Couchbase Lite 4.x peers and settee peers between them.

The settee peers are real: store, sessions and their drivers. The others are models of Couchbase
Lite's engine that speak its real messages: 3.x peers know revision trees (`tree`), 4.x peers
version vectors (`vector`). One seed decides about everything.
``python -m tests.simulation.bridge`` runs many seeds, or one with all its messages.
"""
