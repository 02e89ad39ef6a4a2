"""Strategies: documents of items as devices make them, and as nobody should."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from settee_inventory.model import item as items
from settee_inventory.model.item import State

TIMES = st.integers(0, 12).map(lambda n: f"{n:016x}")
ACTORS = st.sampled_from(["kitchen", "shop", "van"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "Apples"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["at", "by", "value", "k"]), inner, max_size=3)
    ),
    max_leaves=6,
)
COUNTS = st.integers(-5, 5)


def or_damage(sound: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(sound, sound, sound, sound, JSON)


VERSIONS = st.fixed_dictionaries({"value": JSON, "at": or_damage(TIMES), "by": or_damage(ACTORS)})
LOGS = st.dictionaries(TIMES, or_damage(COUNTS), max_size=4)
NAMES = st.sampled_from(["name", "picture", "removed"])
MERGES = st.fixed_dictionaries(
    {},
    optional={
        "quantity": or_damage(
            st.fixed_dictionaries(
                {},
                optional={
                    "set": or_damage(
                        st.fixed_dictionaries(
                            {"value": or_damage(COUNTS), "at": TIMES, "by": or_damage(ACTORS)}
                        )
                    ),
                    "counts": or_damage(st.dictionaries(ACTORS, or_damage(LOGS), max_size=3)),
                },
            )
        ),
        "fields": or_damage(
            st.dictionaries(NAMES, or_damage(st.lists(or_damage(VERSIONS), max_size=3)), max_size=3)
        ),
        "seen": or_damage(st.dictionaries(ACTORS, or_damage(TIMES), max_size=3)),
    },
)
BODIES = st.fixed_dictionaries(
    {"merge": or_damage(MERGES)},
    optional={"name": JSON, "quantity": JSON, "image": JSON, "colour": JSON, "shelf": JSON},
)
"""Bodies of any kind: merge laws hold for what strangers send, too."""

STATES: st.SearchStrategy[State] = BODIES.map(items.read)
