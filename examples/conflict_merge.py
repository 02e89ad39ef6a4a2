"""Two devices change one document at the same time, and no edit is lost.

The quantity is kept as what each device has added and taken away. Each device writes its own
numbers only, and they only rise, so that of two the larger one is right: a merge takes the larger
of each and adds up. The name is the one with the later time beside it, tags are put together. The
result does not depend on which side merges, so that all devices end alike.

It prints::

    kitchen sold 3 and renamed it: Red apples, 7 left, tags fruit
    van got 5 and tagged it: Apples, 15 left, tags fruit, organic
    both have: Red apples, 12 left, tags fruit, organic
"""

from __future__ import annotations

from typing import Any

from settee import Conflict, Database, Document, URLEndpointListener


def left(item: Document) -> int:
    """Return how many there are."""
    return int(sum(item["added"].values()) - sum(item["taken"].values()))


# --8<-- [start:merge]
def merged_counts(ours: dict[str, int], theirs: dict[str, int]) -> dict[str, int]:
    """Return the larger number of each device."""
    return {
        device: max(ours.get(device, 0), theirs.get(device, 0))
        for device in sorted(ours.keys() | theirs.keys())
    }


def merge(conflict: Conflict) -> dict[str, Any] | None:
    """Return both edits in one document; a deletion wins."""
    ours, theirs = conflict.local, conflict.remote
    if ours is None or theirs is None:
        return None
    later = max((ours, theirs), key=lambda item: (item["named_at"], item["name"]))
    return {
        "name": later["name"],
        "named_at": later["named_at"],
        "tags": sorted({*ours["tags"], *theirs["tags"]}),
        "added": merged_counts(ours["added"], theirs["added"]),
        "taken": merged_counts(ours["taken"], theirs["taken"]),
    }


# --8<-- [end:merge]
def words(item: Document) -> str:
    """Return an item for people."""
    return f"{item['name']}, {left(item)} left, tags {', '.join(item['tags'])}"


def sync(active: Database, listener: URLEndpointListener) -> None:
    """Bring both to the same state; the active peer is the one that merges."""
    assert listener.tls_identity is not None
    pin = listener.tls_identity.fingerprint
    active.replicate(listener.urls[0], pinned_server_certificate=pin, conflict_resolver=merge)


def main() -> None:
    """Begin alike, edit apart, merge."""
    with Database("kitchen") as kitchen, Database("van") as van:
        here, there = kitchen.default_collection, van.default_collection
        here["apples"] = {
            "name": "Apples",
            "named_at": "2026-11-01T08:00:00Z",
            "tags": ["fruit"],
            "added": {"kitchen": 10},
            "taken": {},
        }
        listener = URLEndpointListener(kitchen, host="127.0.0.1", allow_anonymous=True)
        with listener:
            sync(van, listener)

        apples = here["apples"]
        apples["taken"]["kitchen"] = 3
        apples.update({"name": "Red apples", "named_at": "2026-11-02T09:30:00Z"})
        here.save(apples)
        print("kitchen sold 3 and renamed it:", words(apples))

        apples = there["apples"]
        apples["added"]["van"] = 5
        apples["tags"].append("organic")
        there.save(apples)
        print("van got 5 and tagged it:", words(apples))

        with listener:
            sync(van, listener)
            sync(van, listener)  # The merge goes back.
        assert here["apples"] == there["apples"]
        print("both have:", words(here["apples"]))


if __name__ == "__main__":
    main()
