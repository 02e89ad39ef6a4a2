from __future__ import annotations

import pytest

from settee.net.link import PeerInfo
from settee.peer.versions import PRODUCT, choose_subprotocol, is_settee, level_of


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("BLIP_3+CBMobile_3", "BLIP_3+CBMobile_2"), "BLIP_3+CBMobile_3"),
        (("BLIP_3+CBMobile_4", "BLIP_3+CBMobile_3"), "BLIP_3+CBMobile_4"),
        (("BLIP_3+CBMobile_3", "BLIP_3+CBMobile_4"), "BLIP_3+CBMobile_3"),
        (("BLIP_3+CBMobile_2",), "BLIP_3+CBMobile_2"),
        (("BLIP_3+CBMobile_2", "BLIP_3+CBMobile_3"), "BLIP_3+CBMobile_2"),
        (("BLIP_3+CBMobile_4",), "BLIP_3+CBMobile_4"),
        (("BLIP_3+CBMobile_5",), None),
        ((), None),
    ],
)
def test_the_first_offer_that_is_spoken_here_is_chosen(
    offered: tuple[str, ...], chosen: str | None
) -> None:
    assert choose_subprotocol(offered) == chosen


@pytest.mark.parametrize(
    ("agent", "expected"),
    [(PRODUCT, True), ("settee/9", True), ("couchbase-lite-core/3.1.11 (0)", False), ("", False)],
)
def test_a_settee_peer_is_known_by_its_name(agent: str, expected: bool) -> None:
    assert is_settee(PeerInfo(address="::1", port=1, user_agent=agent)) is expected


@pytest.mark.parametrize(
    ("agreed", "level"),
    [("BLIP_3+CBMobile_4", 4), ("BLIP_3+CBMobile_3", 3), ("BLIP_3+CBMobile_2", 2), ("", 3)],
)
def test_the_level_is_read_from_the_protocol_agreed_upon(agreed: str, level: int) -> None:
    assert level_of(PeerInfo(address="::1", port=1, subprotocol=agreed)) == level
