"""Both loops: what works on one only is broken."""

from __future__ import annotations

import pytest

from tests.net.scene import Run, runner


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return runner(request.param)
