"""A table in the terminal that follows the database: edits of this program and of any peer.

In a terminal the table is redrawn in place at each change; sent to a file, only the last state is
written. Here a second device makes the edits, and says "closing time" with the last one.

It prints::

     item     quantity   by
    ─────────────────────────────
     Apples         10   kitchen
     Beets           3   van
     Plums         100   van
"""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from settee import Collection, Database, Replicator, URLEndpointListener


def table(items: Collection) -> Table:
    """Return what is there now."""
    shown = Table("item", box=box.SIMPLE_HEAD, show_edge=False)
    shown.add_column("quantity", justify="right")
    shown.add_column("by")
    for item in items.documents():
        shown.add_row(item["name"], str(item["quantity"]), item["by"])
    return shown


def follow(items: Collection, console: Console) -> None:
    """Show the items until a document `closing-time` arrives."""
    with items.changes(since=0) as changes, Live(table(items), console=console) as live:
        for change in changes:
            if "closing-time" in change.document_ids:
                items.purge("closing-time")
                live.update(table(items))
                return
            live.update(table(items), refresh=True)


def edit(items: Collection) -> None:
    """What somebody does on the other device."""
    items["beets"] = {"name": "Beets", "quantity": 3, "by": "van"}
    items["plums"] = {"name": "Plums", "quantity": 100, "by": "van"}
    items["closing-time"] = {"name": "", "quantity": 0, "by": "van"}


def main() -> None:
    """Show the kitchen's list while the van edits it."""
    with Database("kitchen") as kitchen, Database("van") as van:
        items = kitchen.collection("shop.items", create=True)
        items["apples"] = {"name": "Apples", "quantity": 10, "by": "kitchen"}
        elsewhere = van.collection("shop.items", create=True)
        with URLEndpointListener(kitchen, host="127.0.0.1", allow_anonymous=True) as listener:
            assert listener.tls_identity is not None
            with Replicator(
                van,
                listener.urls[0],
                continuous=True,
                pinned_server_certificate=listener.tls_identity.fingerprint,
            ) as replicator:
                replicator.wait_for("idle", timeout=10)
                edit(elsewhere)
                follow(items, Console())


if __name__ == "__main__":
    main()
