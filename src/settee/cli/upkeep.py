"""``settee compact``, ``check`` and ``reindex``: looking after a database."""

from __future__ import annotations

from typing import Annotated

import typer

from settee.cli.database import DatabaseArgument, JsonOption, opened, size_bytes
from settee.cli.exits import ExitCode
from settee.cli.render import bytes_text, line, notice, problem, show_json
from settee.clock import SystemClock

__all__ = ["check", "compact", "reindex"]


def compact(name: DatabaseArgument, as_json: JsonOption = False) -> None:
    """Give back the space that nothing uses.

    Free pages, that is, and blobs that no document names. Blobs of the last hour stay: another
    process may be about to save the document for them.
    """
    with opened(name) as db:
        done = db.compact()
        on_disk_bytes = size_bytes(db)
    if as_json:
        show_json(
            {
                "bytes_freed": done.bytes_freed,
                "blobs_removed": done.blobs_removed,
                "bytes": on_disk_bytes,
            }
        )
        return
    blobs = f" ({done.blobs_removed:,} blobs removed)" if done.blobs_removed else ""
    line(f"Freed {bytes_text(done.bytes_freed)}{blobs}; {bytes_text(on_disk_bytes)} on disk now")


def check(
    name: DatabaseArgument,
    no_blobs: Annotated[
        bool, typer.Option("--no-blobs", help="Don't read the content of blobs: faster.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for damage in the file, the documents and the blobs.

    Nothing is changed. Exit code 1 if something is wrong.
    """
    clock = SystemClock()
    start_s = clock.monotonic()
    with opened(name) as db:
        problems = db.check(blobs=not no_blobs)
        count = sum(len(collection) for collection in db.collections())
    elapsed_s = clock.monotonic() - start_s
    if as_json:
        told = [
            {"kind": each.kind, "place": each.place, "message": each.message} for each in problems
        ]
        show_json({"documents": count, "problems": told})
    else:
        for each in problems:
            problem(str(each))
        if not problems:
            line(f"Nothing wrong in {count:,} documents ({elapsed_s:.1f} s)")
    if problems:
        if not as_json:
            notice(f"Problems: {len(problems):,}. {_remedy({each.kind for each in problems})}")
        raise typer.Exit(ExitCode.FAILED)


def _remedy(kinds: set[str]) -> str:
    """Return what to do about problems of these kinds."""
    if kinds == {"reference"}:
        return "`settee reindex` mends them."
    if kinds <= {"reference", "blob"}:
        return "Documents are whole; save the blobs anew, or restore a copy."
    return "Restore a copy, or export what can be read and pull the rest from a peer."


def reindex(name: DatabaseArgument) -> None:
    """Build all indexes anew, and what is derived from documents.

    What `check` calls a problem of the kind "reference" is mended by this.
    """
    with opened(name) as db:
        db.reindex()
        db.optimize(full=True)
