"""Peers find each other by multicast on loopback: a listener that advertises, a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee import (
    ClosedError,
    Database,
    PeerFound,
    PeerGone,
    TLSIdentity,
    URLEndpointListener,
    browse,
)

LOOPBACK = ["127.0.0.1"]
SERVICE = "_setteetest._tcp"


def test_a_closed_browser_has_no_more_events() -> None:
    with browse(interfaces=LOOPBACK) as browser:
        assert isinstance(browser.peers, list)
    assert list(browser) == []
    assert browser.next(0) is None
    browser.close()


def test_a_browser_that_does_not_look_says_so() -> None:
    browser = browse(interfaces=LOOPBACK)
    with pytest.raises(ClosedError, match="with"):
        browser.next(0)
    browser.close()


@pytest.mark.feature("MP-12")
@pytest.mark.slow
def test_a_listener_is_found_with_all_that_is_needed_to_dial_it_and_gone_when_it_stops(
    tmp_path: Path,
) -> None:
    """Slow: DNS-SD asks for a second whether a name is free before it announces it."""
    identity = TLSIdentity.anonymous()
    with (
        Database("kitchen", directory=tmp_path) as kitchen,
        Database("van", directory=tmp_path) as van,
    ):
        kitchen.default_collection["apples"] = {"n": 10}
        listener = URLEndpointListener(
            kitchen,
            host="127.0.0.1",
            tls_identity=identity,
            allow_anonymous=True,
            advertise="Kitchen of the test",
            discovery_interfaces=LOOPBACK,
        )
        with (
            browse(interfaces=LOOPBACK) as browser,
            browse(interfaces=LOOPBACK, own=[listener]) as own_browser,
        ):
            heard: list[object] = []
            browser.on_event(heard.append)
            listener.start()
            found = browser.wait_for(lambda p: p.name.startswith("Kitchen of"), timeout=20)
            assert found is not None
            assert found.port == listener.port
            assert found.tls is True
            assert found.id == identity.fingerprint[:16]
            assert found.path == "/kitchen"
            result = van.replicate(found, pinned_server_certificate=identity.fingerprint)
            assert result.pulled == 1
            # Not before: the announcement may be heard while the listener's loop still sends it.
            assert listener.advertised_name == found.name
            assert found in browser.peers
            listener.stop()
            gone = None
            while not isinstance(gone, PeerGone) or gone.name != found.name:
                gone = browser.next(timeout=20)
                assert gone is not None, "no goodbye was heard"
            assert PeerFound in {type(event) for event in heard}
            assert found.name not in {p.name for p in own_browser.peers}
            assert not any(
                isinstance(event, PeerFound) and event.name == found.name
                for event in iter(lambda: own_browser.next(0), None)
            )
