"""Hours of several processes that write, sync, die and come back: ``python -m tests.soak``."""
