from __future__ import annotations
from tests.replay.play import *
import pytest
from pathlib import Path
from tests import captures
NAMES=[n for n in captures.scenarios() if n.startswith(("3.1/","4-revtree/"))]
@pytest.mark.parametrize("name", NAMES)
def test_x(name, tmp_path: Path):
    play_to_listener(name, tmp_path)

@pytest.mark.parametrize("name", [n for n in NAMES if not n.endswith(("auth","docids-pull"))])
def test_y(name, tmp_path: Path):
    play_from_listener(name, tmp_path)
