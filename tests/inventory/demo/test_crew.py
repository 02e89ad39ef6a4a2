"""The three processes: what is known of them, and how failing is told."""

from __future__ import annotations

import asyncio

import pytest

from settee_inventory import children
from settee_inventory.demo.crew import Crew, SceneError


def test_news_updates_what_is_known_of_a_device(tmp_path):
    crew = Crew(tmp_path)
    heard = []
    crew.on_news = lambda name, event, fields: heard.append((name, event))
    crew._take("Van", "ready", {"fingerprint": "ab"})
    crew._take("Van", "items", {"items": {"item::kale": [7, "sha1-x"]}, "documents": 43})
    crew._take("Shop", "link", {"peer": "Van", "activity": "idle", "error": ""})
    van = crew.devices["Van"]
    assert (van.started, van.fingerprint, van.documents) == (True, "ab", 43)
    assert (van.quantities, van.pictures) == ({"item::kale": 7}, {"item::kale": "sha1-x"})
    assert heard == [("Van", "ready"), ("Van", "items"), ("Shop", "link")]


@pytest.mark.parametrize(
    ("activity", "is_linked"),
    [("idle", True), ("busy", True), ("offline", False), ("connecting", False)],
)
def test_a_link_counts_for_both_ends_while_it_works(tmp_path, activity, is_linked):
    crew = Crew(tmp_path)
    for device in crew.devices.values():
        device.online = True
    crew._take("Shop", "link", {"peer": "Van", "activity": activity, "error": ""})
    assert list(crew.linked("Van")) == (["Shop"] if is_linked else [])
    assert list(crew.linked("Shop")) == (["Van"] if is_linked else [])
    assert list(crew.linked("Kitchen")) == []
    crew.devices["Van"].online = False
    assert list(crew.linked("Shop")) == []


def test_what_does_not_happen_in_time_is_named_with_the_troubles(tmp_path):
    async def wait():
        crew = Crew(tmp_path)
        crew._take("Shop", "trouble", {"text": "no multicast here"})
        await crew.until(lambda: False, "all three are linked", 0.01)

    with pytest.raises(SceneError, match=r"all three are linked.*Shop: no multicast here"):
        asyncio.run(wait())


def test_a_device_that_dies_ends_the_wait_with_what_it_said(tmp_path, monkeypatch):
    async def launch_and_wait():
        async with Crew(tmp_path) as crew:
            await crew.until(lambda: False, "never", 10)

    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no such module' >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setattr(children.sys, "executable", str(broken))
    with pytest.raises(SceneError, match=r"(?s)ended \(7\).*no such module"):
        asyncio.run(launch_and_wait())


@pytest.mark.slow
def test_an_order_that_fails_says_at_which_device_and_why(tmp_path):
    """Slow: it starts three processes."""

    async def order():
        async with Crew(tmp_path) as crew:
            await crew.order("Kitchen", "quantity", id="item::nothing", quantity=1)

    with pytest.raises(SceneError, match=r"Kitchen: .*item::nothing"):
        asyncio.run(order())
