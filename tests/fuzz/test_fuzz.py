"""Each target takes its seeds, what once broke it, and some inputs that are a little wrong.

The real fuzzing is `python -m tests.fuzz`; this is what of it fits into every run.
"""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest

from tests.fuzz.mutations import mutated
from tests.fuzz.reading import Reading, joined
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

FINDS = Path(__file__).with_name("finds")
MUTATIONS = {"files": 5, "handlers": 30, "dialogue_passive": 50, "dialogue_active": 50}
MUTATIONS_ELSE = 150


@pytest.fixture(autouse=True)
def certificates_may_be_odd() -> object:
    """The library warns of certificates that it will refuse one day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.sec("SEC-12", "SEC-14", "SEC-18", "SEC-20", "SEC-21", "SEC-30")
@pytest.mark.parametrize("name", TARGETS)
def test_what_peers_really_said_is_taken(name: str) -> None:
    begin = seeds(name)
    assert begin
    for data in begin[:: 1 + len(begin) // 40]:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_broke_it_does_so_no_more(name: str) -> None:
    for path in sorted((FINDS / name).glob("*")):
        TARGETS[name](path.read_bytes())


@pytest.mark.sec("SEC-12", "SEC-14", "SEC-18", "SEC-20", "SEC-21", "SEC-30")
@pytest.mark.parametrize("name", TARGETS)
def test_what_is_a_little_wrong_is_taken_or_refused(name: str) -> None:
    chance, begin = random.Random(f"fuzz {name}"), seeds(name)
    for _ in range(MUTATIONS.get(name, MUTATIONS_ELSE)):
        TARGETS[name](mutated(chance, begin))


def test_every_folder_of_finds_is_of_a_target() -> None:
    assert {path.name for path in FINDS.iterdir()} <= set(TARGETS)


def test_any_bytes_can_be_read_as_any_values() -> None:
    reading = Reading(b"")
    assert (reading.byte(), reading.number(), reading.piece(), reading.more) == (0, 0, b"", False)
    reading = Reading(joined(b"one", b"") + b"\x07rest")
    assert (reading.piece(), reading.piece(), reading.byte()) == (b"one", b"", 7)
    assert reading.rest() == b"rest"
    assert not reading.more
