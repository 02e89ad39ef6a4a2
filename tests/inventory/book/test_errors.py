"""What a person can do wrong."""

from __future__ import annotations

import pytest

from settee import SetteeError
from settee_inventory.book import InputError, PictureError


def test_wrong_input_is_an_error_of_settee_s_tree() -> None:
    for kind in (InputError, PictureError):
        with pytest.raises(SetteeError):
            raise kind("Say what to do.")
    assert issubclass(PictureError, InputError)
