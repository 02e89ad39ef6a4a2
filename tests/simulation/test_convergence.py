"""Four peers in a star, a chain and a ring end equal, whatever happens to them on the way.

What happens: edits, deletions and pictures on all of them at once, links cut at any moment,
listeners away for minutes, clocks that differ by up to 80 seconds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.topologies import TOPOLOGIES, run


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_peers_converge_after_concurrent_edits_deletions_and_pictures(
    tmp_path: Path, topology: str
) -> None:
    _, frames = run(topology, 1000, tmp_path)
    assert frames > 100


def test_the_same_seed_gives_the_same_trace_and_another_a_different_one(tmp_path: Path) -> None:
    traces = [run("ring", seed, tmp_path / str(n))[0] for n, seed in enumerate([2000, 2000, 2001])]
    assert traces[0] == traces[1]
    assert traces[0] != traces[2]
