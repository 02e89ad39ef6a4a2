"""An index beside the database that is brought up to date from where it stood, restarts included.

The sequence of the last change that was seen is kept in the database itself, in the same
transaction as what was made of it: nothing is missed, and nothing is counted twice.

It prints::

    first run: 3 changes, fruit: apples, pears
    nothing new: 0 changes, fruit: apples, pears
    after edits: 2 changes, fruit: pears, plums
"""

from __future__ import annotations

from settee import Collection, Database


def catch_up(db: Database, items: Collection, index: Collection) -> int:
    """Bring the index up to date; return how many documents had changed."""
    state = index.get("state")
    since = 0 if state is None else state["sequence"]
    if since == items.last_sequence:
        return 0
    with items.changes(since=since) as changes:
        change = next(changes)
    with db.transaction():
        fruit = set() if state is None else set(state["fruit"])
        for id in change.document_ids:
            item = items.get(id)
            fruit.discard(id)
            if item is not None and item["kind"] == "fruit":
                fruit.add(id)
        index["state"] = {"sequence": change.sequence, "fruit": sorted(fruit)}
    return len(change.document_ids)


def run(words: str) -> None:
    """Open, catch up, say what is there, close: what each start of a program would do."""
    with Database("shop") as db:
        items = db.collection("items", create=True)
        index = db.collection("index", create=True)
        count = catch_up(db, items, index)
        print(f"{words}: {count} changes, fruit: {', '.join(index['state']['fruit'])}")


def main() -> None:
    """Three starts of the program, with edits between."""
    with Database("shop") as db:
        items = db.collection("items", create=True)
        for id, kind in (("apples", "fruit"), ("beets", "root"), ("pears", "fruit")):
            items[id] = {"kind": kind}
    run("first run")
    run("nothing new")
    with Database("shop") as db:
        items = db.collection("items")
        del items["apples"]
        items["plums"] = {"kind": "fruit"}
    run("after edits")


if __name__ == "__main__":
    main()
