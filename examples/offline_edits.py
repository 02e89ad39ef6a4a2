"""Two devices edit the same data without a network, and agree when they meet.

Edits of different documents come together; a deletion reaches the other side. Where both changed
one document, both keep the same one of the two: the one that was edited last.

It prints::

    left has: milk 2 (left), bread 3, eggs 12
    right has: milk 9 (right), cheese 1, bread 1, eggs 12
    after the sync both have: milk 9 (right), cheese 1, bread 3
"""

from __future__ import annotations

from settee import Collection, Database, Document, URLEndpointListener


def shown(items: Collection) -> str:
    """Return a list for people."""

    def words(item: Document) -> str:
        return f"{item['name']} {item['n']}" + (f" ({item['by']})" if "by" in item else "")

    return ", ".join(words(each) for each in items.documents())


def sync(active: Database, listener: URLEndpointListener) -> None:
    """Bring both to the same state."""
    assert listener.tls_identity is not None
    pin = listener.tls_identity.fingerprint
    result = active.replicate(listener.urls[0], pinned_server_certificate=pin)
    assert result.errors == ()


def main() -> None:
    """Begin alike, drift apart, come together."""
    with Database("left") as left, Database("right") as right:
        ours, theirs = left.default_collection, right.default_collection
        ours.save_many(
            [
                ("1", {"name": "milk", "n": 1}),
                ("3", {"name": "bread", "n": 1}),
                ("4", {"name": "eggs", "n": 12}),
            ]
        )
        listener = URLEndpointListener(left, host="127.0.0.1", allow_anonymous=True)
        with listener:
            sync(right, listener)

        # No network here. Milk is changed on both sides, on the right one last.
        ours["1"] = {"name": "milk", "n": 2, "by": "left"}
        ours["3"] = {"name": "bread", "n": 3}
        print("left has:", shown(ours))
        theirs["1"] = {"name": "milk", "n": 8, "by": "right"}
        theirs["1"] = {"name": "milk", "n": 9, "by": "right"}
        theirs["2"] = {"name": "cheese", "n": 1}
        print("right has:", shown(theirs))
        del theirs["4"]

        with listener:
            sync(right, listener)
            sync(right, listener)  # What was merged here goes back there.
        assert shown(ours) == shown(theirs)
        print("after the sync both have:", shown(ours))


if __name__ == "__main__":
    main()
