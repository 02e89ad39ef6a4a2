"""Logger names, the tag that tells sessions apart, and sinks that keep secrets out of a log.

One logger per room under ``settee``: ``settee.db``, ``settee.store``, ``settee.net``,
``settee.peer``, ``settee.sync``, ``settee.identity``. settee sets no level, and no handler but the
one that keeps a program without logging quiet, until `log_to` is called. DEBUG shows ``>`` sent,
``<`` received and ``=`` state; INFO a session's start and end; WARNING what will be retried or a
peer that misbehaved; ERROR lost data or a bug. Bodies, keys and passwords are logged at no level.

That is the first line of defence. The second is `RedactingFormatter`, which `log_to` uses: whatever
an exception's text, a callback's traceback or a peer's word brought along, credentials in it become
``[redacted]`` and one event stays one event, whoever wrote its line breaks.
"""

from __future__ import annotations

import datetime
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from io import FileIO, TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, TextIO

from settee.errors import ConfigError, ReadOnlyError
from settee.limits import LOG_FILE_BYTES, LOG_FILES_KEPT_MAX

__all__ = ["ROOMS", "LogSink", "RedactingFormatter", "log_to", "peer_log", "printable", "room_log"]

ROOMS: Final = ("cli", "db", "identity", "net", "peer", "store", "sync")
"""What `log_to` can be asked for: the last word of a logger's name."""

_ROOT: Final = "settee"
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_LINE: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
_MOMENT: Final = "%Y-%m-%dT%H:%M:%S"
_REDACTED: Final = "[redacted]"

logging.getLogger(_ROOT).addHandler(logging.NullHandler())


def room_log(room: str) -> logging.Logger:
    """Return the logger of one room, such as ``room_log("store")`` for ``settee.store``."""
    return logging.getLogger(f"{_ROOT}.{room}")


class _Tagged(logging.LoggerAdapter[logging.Logger]):
    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log with the tag before the message; what the tag holds is no format."""
        if self.isEnabledFor(level):
            tag = str((self.extra or {}).get("tag", ""))
            if args:
                tag = tag.replace("%", "%%")  # The scope of an IPv6 address has one.
            kwargs.setdefault("stacklevel", 2)
            line = f"[{tag}] {msg}"
            self.logger.log(level, line, *args, **kwargs)


def peer_log(room: str, *, peer: str, session: int) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose lines carry ``[peer/session]``."""
    return _Tagged(room_log(room), {"tag": f"{printable(peer)}/{session}"})


def printable(text: str, limit: int = 200) -> str:
    """Return `text` as one safe line: a peer's words must not forge log lines."""
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:limit])
    return clean + "…" if len(text) > limit else clean


# --- what must not be seen ------------------------------------------------------------------------

_SECRETS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # A private key in PEM, however much of it is there.
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
        ),
        _REDACTED,
    ),
    # Headers: the scheme may be seen, what follows it not.
    (
        re.compile(r"(?i)\b(authorization['\"]?\s*[:=,]\s*['\"]?)(?:(\w+)\s+)?[^\s'\",;)]+"),
        rf"\1\2 {_REDACTED}",
    ),
    (
        re.compile(r"(?i)\b((?:set-)?cookie['\"]?\s*[:=,]\s*['\"]?)[^'\"\r\n]+"),
        rf"\1{_REDACTED}",
    ),
    (re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{8,}"), rf"\1 {_REDACTED}"),
    # user:password@ of a URL.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"<>]*@"), rf"\1{_REDACTED}@"),
    # password=…, "token": "…", and their like; quoted values may hold anything.
    (
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|passphrase|secret|token|session_?id|api_?key|"
            r"private_?key)['\"]?\s*[:=]\s*)"
            r"(?:b?'(?:[^'\\]|\\.)*'|b?\"(?:[^\"\\]|\\.)*\"|[^\s'\",;)}&]+)"
        ),
        rf"\1{_REDACTED}",
    ),
)


def redacted(text: str) -> str:
    """Return `text` without what looks like a credential: a net below careful log calls."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Writes records as `log_to` does: redacted, UTC, one event per line.

    Give it to any handler of your own: ``handler.setFormatter(RedactingFormatter())``. The lines of
    a traceback begin with ``|``, so that none can pass for an event.
    """

    def __init__(self, fmt: str = _LINE, datefmt: str = _MOMENT) -> None:
        super().__init__(fmt, datefmt)
        self.converter: Callable[[float | None], Any] = _utc

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        head, newline, traceback = super().format(record).partition("\n")
        if newline and not (record.exc_info or record.exc_text or record.stack_info):
            head, traceback = f"{head}\n{traceback}", ""  # A message with line breaks in it.
        elif newline:
            message = record.getMessage()
            if "\n" in message:  # The message's own line breaks come before the traceback's.
                own = message.count("\n")
                rest = traceback.split("\n")
                head = "\n".join([head, *rest[:own]])
                traceback = "\n".join(rest[own:])
        lines = [_one_line(redacted(head))]
        if traceback:
            lines += [f"  | {_one_line(each)}" for each in redacted(traceback).split("\n")]
        return "\n".join(lines)


def _utc(seconds: float | None) -> Any:
    return datetime.datetime.fromtimestamp(seconds or 0, datetime.UTC).timetuple()


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


# --- sinks ----------------------------------------------------------------------------------------


class LogSink:
    """Where settee's log goes, made by `log_to`; a context manager that ends it."""

    def __init__(self, handler: _Console | _Files, loggers: list[logging.Logger]) -> None:
        self._handler = handler
        self._loggers = loggers
        for logger in loggers:
            ours = _sinks_of(logger)
            handler.before[logger.name] = ours[0].before[logger.name] if ours else logger.level
            logger.addHandler(handler)
            _adjust(logger, handler.before[logger.name])

    @property
    def handler(self) -> logging.Handler:
        """The handler of the standard library that writes."""
        return self._handler

    def close(self) -> None:
        """Write no more, and close the file if it is one. Idempotent."""
        loggers, self._loggers = self._loggers, []
        for logger in loggers:
            logger.removeHandler(self._handler)
            _adjust(logger, self._handler.before[logger.name])
        self._handler.close()

    def __enter__(self) -> LogSink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sinks_of(logger: logging.Logger) -> list[_Console | _Files]:
    return [each for each in logger.handlers if isinstance(each, _Console | _Files)]


def _adjust(logger: logging.Logger, before: int) -> None:
    """Let a logger pass what its sinks want and what it passed without; with no sink, as it was."""
    levels = [each.level for each in _sinks_of(logger)]
    if levels and before:
        levels.append(before)
    logger.setLevel(min(levels, default=before))


class _Quiet(logging.Handler):
    """What our sinks share: a log that can't be written neither stops the program nor shouts.

    The standard library would print the record, unredacted, to standard error.
    """

    before: dict[str, int]
    """The level that each logger had before the first sink, by its name."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop a record that can't be written, such as on a full disk."""


class _Console(_Quiet, logging.StreamHandler[TextIO]):
    """A stream; standard error if none is named, whatever that is at the time."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream or sys.stderr)
        self.before: dict[str, int] = {}
        self._follows = stream is None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        if self._follows and sys.stderr is not None:
            self.stream: TextIO = sys.stderr
        super().emit(record)


class _Files(_Quiet, RotatingFileHandler):
    """Files that only their owner can read."""

    def __init__(self, path: Path, file_bytes: int, files_kept: int) -> None:
        super().__init__(path, maxBytes=file_bytes, backupCount=files_kept, encoding="utf-8")
        self.before: dict[str, int] = {}

    def _open(self) -> TextIOWrapper:
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return TextIOWrapper(FileIO(fd, "ab"), encoding="utf-8", write_through=True)


def log_to(
    target: str | os.PathLike[str] | TextIO | None = None,
    *,
    level: str = "info",
    rooms: Iterable[str] | None = None,
    file_bytes: int = LOG_FILE_BYTES,
    files_kept: int = LOG_FILES_KEPT_MAX,
) -> LogSink:
    """Write settee's log to the console (None), a stream, or a file at a path that rotates.

    `level`: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``. `rooms`: of these parts only,
    such as ``["peer", "store"]`` (all of them are in `ROOMS` of `settee.logs`). A file is renamed
    to ``NAME.1`` when it would grow over `file_bytes`, and `files_kept` such are kept; it is made
    with mode 0600. Credentials are redacted; see `RedactingFormatter` to have the same on a handler
    of your own. Returns the sink; close it, or use it in a ``with``, to end it.

    Raises ConfigError for a value that can't be, ReadOnlyError if the file can't be written.
    """
    if level not in _LEVELS:
        raise ConfigError("level", f"must be one of {', '.join(_LEVELS)}, not {level!r}")
    if isinstance(rooms, str):
        raise ConfigError("rooms", f"must be a list, such as [{rooms!r}]")
    names = None if rooms is None else list(dict.fromkeys(rooms))
    for name in names or ():
        if name not in ROOMS:
            raise ConfigError("rooms", f"must be of {', '.join(ROOMS)}, not {name!r}")
    for field, value in (("file_bytes", file_bytes), ("files_kept", files_kept)):
        if not isinstance(value, int) or value < 1:
            raise ConfigError(field, f"must be 1 or more, not {value!r}")
    handler: _Console | _Files
    if isinstance(target, str | os.PathLike):
        try:
            handler = _Files(Path(target), file_bytes, files_kept)
        except OSError as exc:
            raise ReadOnlyError(
                f"the log {os.fspath(target)} can't be written: {exc.strerror}"
            ) from exc
    else:
        handler = _Console(target)
    handler.setFormatter(RedactingFormatter())
    handler.setLevel(_LEVELS[level])
    loggers = [logging.getLogger(_ROOT)] if names is None else list(map(room_log, names))
    return LogSink(handler, loggers)
