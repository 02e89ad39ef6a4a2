"""Which documents have not been pushed yet, told without a connection.

From the checkpoint and the marks of the last session with the remote: what lies beyond the
checkpoint and is not what the remote is known to have.
"""

from __future__ import annotations

from typing import Final

from settee.limits import PAGE_ROWS
from settee.peer.hooks import Hooks
from settee.store import Store, checkpoints, feed, marks
from settee.sync.checkpoint import read_body
from settee.sync.options import CollectionOptions

__all__ = ["pending_ids"]

_PAGE: Final = PAGE_ROWS


def pending_ids(
    store: Store,
    key: int,
    index: int,
    *,
    remote: str | None,
    checkpoint_id: str | None,
    options: CollectionOptions,
    hooks: Hooks,
) -> set[str]:
    """Return the IDs of documents of one collection that are to be pushed.

    `remote` and `checkpoint_id` None: there was no session with this peer yet, so all are. The
    application's push filter is asked, in the caller's thread.
    """
    found: list[str] = []
    with store.reader() as reader:
        body = None if checkpoint_id is None else checkpoints.own(reader, checkpoint_id)
        completed, _ = read_body(body)
        numbers = {text: number for number, text, _ in marks.remotes(reader)}
        number = None if remote is None else numbers.get(remote)
        since = completed.first_missing() - 1
        only = None if options.document_ids is None else frozenset(options.document_ids)
        while True:
            page = feed.changes(reader, key, since, _PAGE, remote=number, doc_ids=only)
            for row in page.rows:
                same = row.mark and row.mark.partition("-")[2] == row.tid.partition("-")[2]
                if not same and row.seq not in completed:
                    found.append(row.doc_id)
            if len(page.rows) < _PAGE:
                break
            since = page.rows[-1].seq
    if options.push_filter and found:
        accepted = hooks.filter_push(index, found)
        found = [doc_id for doc_id, accept in zip(found, accepted, strict=True) if accept]
    return set(found)
