"""Documents one after the other out of a file or a pipe of any length, in constant memory.

Three forms are told apart by their beginning: JSON lines (one object per line), one JSON array of
objects, and objects one after the other that are spread over lines, as ``settee cat`` prints them.
Here it is only found out where each value begins and ends; what is in it is for others to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from settee.errors import InvalidDocumentError
from settee.limits import DOCUMENT_BODY_BYTES_MAX

__all__ = ["JsonStream", "Piece"]

_CHUNK_BYTES: Final = 1 << 18
_VALUE_BYTES_MAX: Final = DOCUMENT_BODY_BYTES_MAX + 4096
"""A document at its limit, and its ID beside it."""

_BLANK: Final = b" \t\r\n"
_QUOTE, _OPEN, _ARRAY_END = ord('"'), frozenset(b"{["), ord("]")
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]|"', re.DOTALL)
"""Whole strings, so that brackets in them don't count; the bare quote is one cut off by a chunk."""

_ENCODINGS: Final = (
    (b"\x1f\x8b", "is compressed; unpack it first: gunzip -c FILE | settee import DB -"),
    (b"PK\x03\x04", "is a zip archive; unpack it first"),
    (b"\xff\xfe", "is UTF-16; convert it to UTF-8 first"),
    (b"\xfe\xff", "is UTF-16; convert it to UTF-8 first"),
)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Piece(NamedTuple):
    """The text of one value, and where it stands."""

    line: int
    """The line in which it begins, from 1."""
    text: bytes
    """Nearly always one whole JSON value; a line longer than any document can be is cut off."""


class JsonStream:
    """Iterates over the `Piece` of each value in `source`; `name` says in errors what that is.

    Raises InvalidDocumentError, naming file and line, where it can't be told any more where values
    begin and end. A bad line among JSON lines is no such place: it comes as a piece.
    """

    def __init__(self, source: BinaryIO, name: str) -> None:
        self._source = source
        self._name = name
        self.bytes_read: int = 0
        """Bytes taken from the source so far."""

    def __iter__(self) -> Iterator[Piece]:
        line = 1
        while not (first := self._line()).strip(_BLANK):
            if not first:
                return
            line += first.endswith(b"\n")
        for mark, problem in _ENCODINGS:
            if first.startswith(mark):
                raise InvalidDocumentError(f"{self._name} {problem}")
        first = first.removeprefix(_BYTE_ORDER_MARK)
        start = first.strip(_BLANK)
        if start.startswith(b"["):
            yield from self._values(first[first.index(b"[") + 1 :], line, in_array=True)
        elif start == b"{":
            yield from self._values(first, line, in_array=False)
        else:
            yield from self._lines(first, line)

    # --- lines ------------------------------------------------------------------------------------

    def _lines(self, raw: bytes, line: int) -> Iterator[Piece]:
        read, blank = self._source.readline, _BLANK
        while raw:
            text = raw.strip(blank)
            if text:
                yield Piece(line, text)
            if raw.endswith(b"\n"):
                line += 1
            elif len(raw) >= _VALUE_BYTES_MAX:
                line += self._skip_line()
            raw = read(_VALUE_BYTES_MAX)
            self.bytes_read += len(raw)

    def _line(self) -> bytes:
        raw = self._source.readline(_VALUE_BYTES_MAX)
        self.bytes_read += len(raw)
        return raw

    def _skip_line(self) -> int:
        """Leave out the rest of a line that is too long; return 1 if another one follows."""
        while rest := self._line():
            if rest.endswith(b"\n"):
                return 1
        return 0

    # --- an array, or objects over several lines --------------------------------------------------

    def _values(self, buffer: bytes, line: int, *, in_array: bool) -> Iterator[Piece]:
        """Yield the containers at the top of `buffer` and of what follows it in the source."""
        depth = start = scanned = gap = counted = 0
        separators = (b"", b"") if not in_array else (b"", b",")
        is_first, is_open = True, True
        while is_open:
            cut = len(buffer)
            for match in _TOKEN.finditer(buffer, scanned):
                kind, at = buffer[match.start()], match.start()
                if kind == _QUOTE:
                    if depth == 0:
                        raise self._error(line + buffer.count(b"\n", counted, at), _NOT_AN_OBJECT)
                    if match.end() == at + 1:
                        cut = at  # The rest of this string has not been read yet.
                        break
                elif kind in _OPEN:
                    if depth == 0:
                        start, line = at, line + buffer.count(b"\n", counted, at)
                        counted = at
                        self._check_gap(buffer[gap:at], separators[not is_first], line)
                        is_first = False
                    depth += 1
                elif depth > 0:
                    depth -= 1
                    if depth == 0:
                        gap = match.end()
                        yield Piece(line, buffer[start:gap])
                elif in_array and kind == _ARRAY_END:
                    line += buffer.count(b"\n", counted, at)
                    self._check_gap(buffer[gap:at], b"", line)
                    self._check_end(buffer[at + 1 :], line)
                    return
                else:
                    line += buffer.count(b"\n", counted, at)
                    raise self._error(line, f"a {chr(kind)} that closes nothing")
            kept = start if depth else gap
            if len(buffer) - kept > _VALUE_BYTES_MAX:
                raise self._error(line, f"a value of more than {DOCUMENT_BODY_BYTES_MAX} bytes")
            line += buffer.count(b"\n", counted, kept) if kept > counted else 0
            counted = max(counted - kept, 0)
            chunk = self._source.read(_CHUNK_BYTES)
            self.bytes_read += len(chunk)
            is_open = bool(chunk)
            buffer, scanned, start, gap = buffer[kept:] + chunk, cut - kept, 0, 0
        if depth:
            raise self._error(line, "a value begins here and never ends")
        if in_array:
            raise self._error(line, "the array is not closed by a ]; is the file cut off?")
        self._check_gap(buffer, b"", line)

    def _check_gap(self, found: bytes, expected: bytes, line: int) -> None:
        """Raise if there is something else between two values than there should be."""
        found = found.strip(_BLANK)
        if found == expected:
            return
        if not found:
            raise self._error(line, "a comma is missing between two values")
        if found == b",":
            raise self._error(line, "a comma with no value beside it")
        raise self._error(line, _NOT_AN_OBJECT)

    def _check_end(self, rest: bytes, line: int) -> None:
        """Raise unless nothing follows the array."""
        while True:
            if rest.strip(_BLANK):
                raise self._error(line, "something follows the end of the array")
            rest = self._source.read(_CHUNK_BYTES)
            self.bytes_read += len(rest)
            if not rest:
                return

    def _error(self, line: int, problem: str) -> InvalidDocumentError:
        return InvalidDocumentError(f"{self._name}:{line}: {problem}")


_NOT_AN_OBJECT: Final = "something that is not a JSON object; each document must be one"
