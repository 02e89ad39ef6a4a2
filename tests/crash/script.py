"""What a database lives through: seeded steps, and a model of what it holds after each.

One seed gives one script. Each step is one call of the API that either happened or did not; `plan`
changes the model as `act` changes the database, so that whoever knows how many steps were
acknowledged knows what has to be there.
"""

from __future__ import annotations

import copy
import datetime
import random
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from settee import Blob, Database

DAY: Final = datetime.timedelta(days=1)
DEFAULT: Final = "_default"

Contents = dict[str, dict[str, dict[str, Any]]]
"""Collection -> document -> body, blobs as bytes."""


class Step(NamedTuple):
    """One call of the API."""

    kind: str
    collection: str = DEFAULT
    bodies: Mapping[str, Any] = {}
    """Document -> its new body (None: deleted); of a transaction, a batch, or one save."""


WEIGHTS: Final = {
    "save": 6,
    "blob": 5,
    "many": 3,
    "transaction": 3,
    "delete": 2,
    "purge": 2,
    "expire": 1,
    "expire later": 1,
    "create": 1,
    "drop": 1,
    "compact": 1,
    "reindex": 1,
    "lone blob": 1,
}


def script(seed: int | str, count: int, *, weights: Mapping[str, int] = WEIGHTS) -> list[Step]:
    """Return the steps of a seed."""
    chance = random.Random(f"script {seed}")
    model: Contents = {DEFAULT: {}}
    steps: list[Step] = []
    while len(steps) < count:
        step = _draw(chance, model, weights, len(steps))
        if step is not None:
            plan(model, step)
            steps.append(step)
    return steps


def _draw(
    chance: random.Random, model: Contents, weights: Mapping[str, int], number: int
) -> Step | None:
    kind = chance.choices(list(weights), list(weights.values()))[0]
    where = chance.choice(sorted(model))
    there = sorted(model[where])
    names = [f"doc-{n}" for n in range(12)]
    match kind:
        case "create":
            free = [name for name in ("one", "two", "three") if name not in model]
            return Step(kind, chance.choice(free)) if free else None
        case "drop":
            return None if where == DEFAULT else Step(kind, where)
        case "delete" | "purge" | "expire" | "expire later":
            return Step(kind, where, {chance.choice(there): None}) if there else None
        case "save":
            return Step(kind, where, {chance.choice(names): _body(chance, number)})
        case "blob":
            body = _body(chance, number) | {"image": _picture(chance, number)}
            if chance.random() < 0.2:
                body["thumb"] = _picture(chance, number + 1)
            return Step(kind, where, {chance.choice(names): body})
        case "many":
            chosen = chance.sample(names, chance.randrange(1, 9))
            return Step(kind, where, {each: _body(chance, number) for each in chosen})
        case "transaction":
            chosen = chance.sample(names, chance.randrange(2, 5))
            bodies: dict[str, Any] = {each: _body(chance, number) for each in chosen}
            for each in chosen:
                if each in there and chance.random() < 0.3:
                    bodies[each] = None
                elif chance.random() < 0.2:
                    bodies[each]["image"] = _picture(chance, number)
            return Step(kind, where, bodies)
        case "lone blob":
            return Step(kind, DEFAULT, {"": _picture(chance, number)})
    return Step(kind)


def _body(chance: random.Random, number: int) -> dict[str, Any]:
    return {"step": number, "text": "x" * chance.choice((0, 10, 100, 900, 5000, 20_000))}


def _picture(chance: random.Random, number: int) -> bytes:
    if chance.random() < 0.2:
        return b"the same for many" * 40
    return (b"picture %d " % number) * chance.choice((1, 50, 600, 9000))


def plan(model: Contents, step: Step) -> None:
    """Do to the model what the step does to the database."""
    match step.kind:
        case "create":
            model[step.collection] = {}
        case "drop":
            del model[step.collection]
        case "delete" | "purge" | "expire" | "save" | "blob" | "many" | "transaction":
            documents = model[step.collection]
            for name, body in step.bodies.items():
                if body is None:
                    documents.pop(name, None)
                else:
                    documents[name] = body


def models(steps: list[Step]) -> Iterator[Contents]:
    """Return what the database holds before the first step and after each."""
    model: Contents = {DEFAULT: {}}
    yield copy.deepcopy(model)
    for step in steps:
        plan(model, step)
        yield copy.deepcopy(model)


def act(db: Database, step: Step) -> None:
    """Do the step."""
    if step.kind == "create":
        db.collection(step.collection, create=True)
        return
    items = db.collection(step.collection)
    match step.kind:
        case "drop":
            db.delete_collection(step.collection)
        case "save" | "blob":
            for name, body in step.bodies.items():
                items[name] = _real(body)
        case "many":
            items.save_many([(name, _real(body)) for name, body in step.bodies.items()])
        case "transaction":
            with db.transaction():
                for name, body in step.bodies.items():
                    if body is None:
                        items.delete(name)
                    else:
                        items[name] = _real(body)
        case "delete":
            for name in step.bodies:
                items.delete(name)
        case "purge":
            for name in step.bodies:
                items.purge(name)
        case "expire" | "expire later":
            for name in step.bodies:
                items.expire(name, DAY if step.kind == "expire later" else -DAY)
            db._poll()
        case "compact":
            db.compact()
        case "reindex":
            db.reindex()
        case "lone blob":
            db.save_blob(Blob.from_bytes(step.bodies[""]))


def _real(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: Blob.from_bytes(value, "image/png") if isinstance(value, bytes) else value
        for key, value in body.items()
    }


def contents(db: Database) -> Contents:
    """Read a database with all its blobs."""
    return {
        each.full_name.removeprefix("_default."): {
            document.id: {
                key: value.read() if isinstance(value, Blob) else value
                for key, value in document.items()
            }
            for document in each.documents()
        }
        for each in db.collections()
    }
