"""Load: many peers at once, some of them hostile, against a listener in a process of its own."""
