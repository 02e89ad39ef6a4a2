"""The command `settee`: thin over the public API, one module per noun.

- `documents`: ls, cat, put, rm
- `database`: info, and how every command opens one
- `replication`: push, pull, sync
- `listener`: listen
- `discovery`: browse
- `scene`: demo
- `render`: everything that is shown (the only user of Rich)
- `exits`, `credentials`: how commands end, and where passwords come from
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main", "run"]


def main() -> NoReturn:
    """Run the process's command line and end the process with its exit code."""
    raise SystemExit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's own) and return its exit code.

    Never raises: an error becomes one sentence on standard error. Exit codes are those of
    `settee.cli.exits.ExitCode`.
    """
    from settee.cli.app import command, is_verbose
    from settee.cli.exits import ExitCode, explain
    from settee.cli.render import problem

    _write_utf8()
    try:
        command()(args=None if arguments is None else list(arguments), prog_name="settee")
    except SystemExit as end:
        return _finish(end.code if isinstance(end.code, int) else int(ExitCode.FAILED))
    except BrokenPipeError:
        return _finish(int(ExitCode.FAILED))
    except (Exception, KeyboardInterrupt) as error:
        code, sentence = explain(error)
        if is_verbose():
            traceback.print_exc()
        problem(sentence)
        return _finish(int(code))
    return _finish(int(ExitCode.DONE))


def _write_utf8() -> None:
    """Let no name or sign end a command: documents are UTF-8, some systems' pipes are not."""
    for stream in (sys.stdout, sys.stderr):
        encoding = (stream.encoding or "").lower().replace("-", "")
        if encoding != "utf8" and isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


def _finish(code: int) -> int:
    """Flush what was printed; a reader that has gone (``settee ls | head``) is no failure."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end: give it something that takes the bytes.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
