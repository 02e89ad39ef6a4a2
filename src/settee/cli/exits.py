"""How a command ends: its exit code, and the sentence that says why.

Every error that settee raises on purpose becomes one sentence on standard error and one of the
codes below; a traceback is only for bugs, and only with ``--verbose``.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import signal
from collections.abc import Iterator
from typing import Final

from settee.errors import (
    AuthenticationError,
    CertificateError,
    ConnectionFailedError,
    NotAPeerError,
    NotFoundError,
    RefusedError,
    SetteeError,
    UsageError,
)

__all__ = ["EXIT_CODES_HELP", "ExitCode", "ended_by_signals", "explain"]


class ExitCode(enum.IntEnum):
    """What the shell is told."""

    DONE = 0
    """All that was asked for is done."""
    FAILED = 1
    """It failed, or a part of it: some documents were not synced, the disk is full, …"""
    USAGE = 2
    """The command line, a name or the JSON given cannot be."""
    NOT_FOUND = 3
    """No such database, collection, document, blob, file or peer name."""
    REFUSED = 4
    """The peer was reached and says no, or its certificate is not the one to trust."""
    UNREACHABLE = 5
    """No peer answers at that address; another try may succeed."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C before it was done."""


EXIT_CODES_HELP: Final = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 not found, "
    "4 refused (password, certificate, rights), 5 peer not reached, 130 interrupted."
)

_CODES: Final = (
    (NotFoundError, ExitCode.NOT_FOUND),
    (UsageError, ExitCode.USAGE),
    (AuthenticationError, ExitCode.REFUSED),
    (RefusedError, ExitCode.REFUSED),
    (CertificateError, ExitCode.REFUSED),
    (ConnectionFailedError, ExitCode.UNREACHABLE),
    (NotAPeerError, ExitCode.UNREACHABLE),
    (SetteeError, ExitCode.FAILED),
)


def explain(error: BaseException) -> tuple[ExitCode, str]:
    """Return the exit code and the sentence for `error`.

    For anything that is neither settee's nor the operating system's, the sentence says that it is
    a bug and how to see more of it.
    """
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, str(error) or kind.__name__
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED, "stopped before it was done"
    if isinstance(error, FileNotFoundError):
        return ExitCode.NOT_FOUND, f"no such file: {error.filename}"
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or errno.errorcode.get(error.errno or 0, "I/O error")
        return ExitCode.FAILED, f"{error.filename}: {reason}" if error.filename else reason
    return ExitCode.FAILED, (
        f"a bug in settee ({type(error).__name__}: {error}). Run the command again as "
        "`settee --verbose …` and report what it prints."
    )


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let a request to terminate end a waiting command as Ctrl-C does: with a `KeyboardInterrupt`.

    So that what ``systemctl stop`` ends says goodbye to its peers.
    """
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
