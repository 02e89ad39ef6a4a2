"""The recorded exchanges once more, one end of them played by a script, the other by settee."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.replay.play", "tests.replay.active", "tests.replay.passive")
