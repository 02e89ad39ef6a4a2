"""Fuzzing: bytes that no peer should send, into every place where a peer's bytes are read.

``targets`` has what is fed and what must hold, ``seeds`` where the inputs begin (the recorded
traffic of real peers), ``__main__`` the runner. Inputs that once broke something lie in ``finds``,
a folder a target, and are replayed by every run of the tests.
"""
