"""Everything that a command shows; the only user of Rich.

Results go to standard output, all else (notices, problems, progress) to standard error, so that
``settee cat … | jq`` works. What peers and documents say is made printable first: a document's
name must not move the cursor of the terminal that lists it.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from settee.logs import printable

__all__ = [
    "SyncView",
    "TransferView",
    "bytes_text",
    "documents_text",
    "json_text",
    "line",
    "lines",
    "notice",
    "problem",
    "safe",
    "show_json",
    "table",
]

T = TypeVar("T")

_BLOCK_COUNT: Final = 1000
"""Rows laid out and written at once."""

_FIRST_WIDTH_MIN: Final = 32
"""So much of a table's first column is always shown."""

_LAST_WIDTH_MIN: Final = 8

_UNITS: Final = ("kB", "MB", "GB", "TB")


def safe(text: str) -> str:
    """Return `text` as one line without characters that could steer a terminal."""
    return text if text.isprintable() else printable(text, limit=len(text))


def line(text: str) -> None:
    """Print one line of the result."""
    print(safe(text), flush=not sys.stdout.isatty())


def notice(text: str) -> None:
    """Print one line for the person, on standard error."""
    print(safe(text), file=sys.stderr, flush=True)


def problem(text: str) -> None:
    """Print why the command failed, on standard error."""
    print(f"settee: {safe(text)}", file=sys.stderr, flush=True)


def json_text(value: Any, *, pretty: bool = False) -> str:
    """Return `value` as JSON, indented or on one line; odd characters as ``\\u`` escapes."""
    text = json.dumps(
        value,
        ensure_ascii=False,
        indent=2 if pretty else None,
        separators=None if pretty else (",", ":"),
    )
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[i]:02x}{raw[i + 1]:02x}" for i in range(0, len(raw), 2))


def show_json(value: Any, *, pretty: bool = False) -> None:
    """Print `value` as JSON to standard output."""
    print(json_text(value, pretty=pretty), flush=not sys.stdout.isatty())


def bytes_text(count: float) -> str:
    """Return a number of bytes for a person: ``999 B``, ``1.5 kB``, ``290 kB``, ``2.1 GB``."""
    if count < 1000:
        return f"{count:.0f} B"
    size, place = count / 1000, 0
    # 999.5 would be rounded to 1000.
    while size >= 999.5 and place < len(_UNITS) - 1:
        size, place = size / 1000, place + 1
    return f"{size:.1f} {_UNITS[place]}" if size < 9.95 else f"{size:.0f} {_UNITS[place]}"


def documents_text(count: int) -> str:
    """Return ``1 document`` or ``1,200 documents``."""
    return f"{count:,} document" if count == 1 else f"{count:,} documents"


def lines(texts: Iterable[str]) -> None:
    """Print many lines of the result, some hundred with one write."""
    for block in _blocks(texts):
        sys.stdout.write("".join([f"{safe(text)}\n" for text in block]))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings. A column whose heading ends in ``>`` is set to the right.

    On a narrow terminal the last column is cut first, then a very long first one; elsewhere
    nothing is cut, and there is no colour. Rows are taken and laid out a thousand at a time, so
    that any number passes; headings are printed once.
    """
    headings = [column.rstrip(">") for column in columns]
    is_right = [column.endswith(">") for column in columns]
    console = Console(highlight=False)
    width = console.width if sys.stdout.isatty() else None
    is_first = True
    for block in _blocks(rows) if rows else ():
        cells = [[safe(str(cell)) for cell in row] for row in block]
        widths = _widths([headings, *cells], width)
        if is_first:
            text = _laid_out(headings, widths, is_right)
            console.print(Text(text, style="bold"), soft_wrap=True)
            is_first = False
        body = (f"{_laid_out(row, widths, is_right)}\n" for row in cells)
        sys.stdout.write("".join(body))
    if is_first:
        console.print(Text("  ".join(headings), style="bold"), soft_wrap=True)


def _blocks(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while block := list(itertools.islice(source, _BLOCK_COUNT)):
        yield block


def _widths(rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the widths of columns, in cells of the terminal; `width` is that of all, if any."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    if width is None:
        return widths
    widths[0] = min(widths[0], max(_FIRST_WIDTH_MIN, width - sum(widths[1:-1]) - 40))
    left = width - sum(each + 2 for each in widths[:-1])
    widths[-1] = min(widths[-1], max(_LAST_WIDTH_MIN, left))
    return widths


def _laid_out(row: Sequence[str], widths: Sequence[int], is_right: Sequence[bool]) -> str:
    shown = []
    for text, width, right in zip(row, widths, is_right, strict=True):
        used = cell_len(text)
        if used > width:
            text = set_cell_size(text, width - 1) + "…"
        elif right:
            text = " " * (width - used) + text
        else:
            text += " " * (width - used)
        shown.append(text)
    return "  ".join(shown).rstrip()


class SyncView:
    """Shows a replication as it goes: a moving line on a terminal, plain lines elsewhere.

    Use it as a context manager around the replication and call `show` with each status.
    """

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = safe(title)
        self._quiet = quiet
        self._shown = ("", "")
        self._busy_since: tuple[int, float] | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> SyncView:
        if not self._quiet and sys.stderr.isatty():
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description:<10}", markup=False),
                BarColumn(bar_width=16),
                TextColumn("{task.fields[counts]}", markup=False),
                console=Console(stderr=True, highlight=False),
                transient=True,
            )
            self._progress.start()
            self._progress.console.print(Text(self._title))
            self._task = self._progress.add_task("", total=None, counts="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def show(
        self,
        activity: str,
        *,
        documents: int,
        documents_total: int,
        bytes_done: int,
        elapsed_s: float,
        reason: str = "",
    ) -> None:
        """Show one status. `documents_total` may grow; `reason` says why it is offline."""
        if self._quiet:
            return
        if activity != "busy":
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = (documents, elapsed_s)
        if self._progress is not None and self._task is not None:
            self._progress.update(
                self._task,
                description=activity,
                completed=documents,
                total=documents_total or None,
                counts=counts_text(
                    documents, documents_total, bytes_done, self._rate(documents, elapsed_s)
                ),
            )
        state = (activity, safe(reason))
        if state != self._shown and (self._progress is None or reason):
            said = f"{activity}: {reason}" if reason else activity
            if self._progress is not None:
                self._progress.console.print(Text(safe(said)))
            else:
                notice(f"{self._title}  {said}")
        self._shown = state

    def _rate(self, documents: int, elapsed_s: float) -> float:
        """Return documents per second since it became busy; 0 while it is not."""
        if self._busy_since is None:
            return 0.0
        documents_then, then_s = self._busy_since
        passed_s = elapsed_s - then_s
        return (documents - documents_then) / passed_s if passed_s > 0 else 0.0


class TransferView:
    """Shows how far an import or export is, on a terminal; elsewhere nothing moves.

    Use it as a context manager and call `show` every now and then.
    """

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = safe(title)
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> TransferView:
        if not self._quiet and sys.stderr.isatty():
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=16),
                TextColumn("{task.fields[counts]}", markup=False),
                console=Console(stderr=True, highlight=False),
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(self._title, total=None, counts="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def show(
        self, *, documents: int, bytes_done: int, elapsed_s: float, share: float | None = None
    ) -> None:
        """Show where it is; `share`: how much of the whole that is, 0 to 1, None if not known."""
        if self._progress is None or self._task is None:
            return
        rate = documents / elapsed_s if elapsed_s > 0 else 0.0
        self._progress.update(
            self._task,
            completed=share or 0.0,
            total=None if share is None else 1.0,
            counts=counts_text(documents, documents, bytes_done, rate),
        )


def counts_text(documents: int, total: int, bytes_done: int, rate: float) -> str:
    """Return ``1,200 of 5,000 documents · 2.4 MB · 8,000/s``; without a rate if that is 0."""
    shown = documents_text(max(documents, total))
    if total > documents:
        shown = f"{documents:,} of {shown}"
    text = f"{shown} · {bytes_text(bytes_done)}"
    return f"{text} · {rate:,.0f}/s" if rate else text
