"""A network that does harm, between two real peers over real sockets: ``python -m tests.proxy``."""
