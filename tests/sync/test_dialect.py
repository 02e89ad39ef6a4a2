from __future__ import annotations

import pytest

from settee.sync.dialect import TREES, VECTORS
from settee.sync.session import dialect_for


@pytest.mark.parametrize(
    ("level", "versioning"), [(2, "rev-trees"), (TREES, "rev-trees"), (VECTORS, "version-vectors")]
)
def test_a_level_has_its_dialect(level: int, versioning: str) -> None:
    assert dialect_for(level, False).versioning == versioning


def test_tree_names_travel_with_vectors_between_settee_peers_only() -> None:
    assert dialect_for(VECTORS, True).is_extended
    assert not dialect_for(VECTORS, False).is_extended
    assert not dialect_for(TREES, True).is_extended
