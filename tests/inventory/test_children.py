"""Processes that are led through their pipes: orders, news, and how they end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from settee_inventory.children import Child, end_all

ECHO = """
import json, sys
for line in sys.stdin:
    order = json.loads(line)
    if order.get("do") == "die":
        sys.exit("it was told to")
    print(json.dumps({"event": "echo", **order}), flush=True)
"""
DEAF = 'import signal\nprint(\'{"event": "here"}\', flush=True)\nwhile True: signal.pause()\n'


class Heard:
    """What a child has told, and how it ended."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.ending: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def told(self, event: str, fields: dict[str, Any]) -> None:
        self.news.put_nowait((event, fields))

    async def ended(self, code: int, said: str) -> None:
        self.ending.set_result((code, said))


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two modules that a child can run: one that answers, one that never listens."""
    (tmp_path / "echo_child.py").write_text(ECHO)
    (tmp_path / "deaf_child.py").write_text(DEAF)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_orders_go_in_and_news_come_out_until_its_input_ends(modules: None) -> None:
    async def scene() -> None:
        heard = Heard()
        child = await Child.start(
            "echo_child", first={"word": "secret"}, told=heard.told, ended=heard.ended
        )
        assert await heard.news.get() == ("echo", {"word": "secret"})
        child.send({"number": 1})
        assert await heard.news.get() == ("echo", {"number": 1})
        await end_all([child])
        assert await heard.ending == (0, "")
        child.send({"number": 2})

    asyncio.run(scene())


def test_one_that_ends_by_itself_tells_its_code_and_its_last_words(modules: None) -> None:
    async def scene() -> None:
        heard = Heard()
        child = await Child.start(
            "echo_child", first={"do": "die"}, told=heard.told, ended=heard.ended
        )
        assert await heard.ending == (1, "it was told to")
        await end_all([child])

    asyncio.run(scene())


@pytest.mark.skipif(sys.platform == "win32", reason="needs signal.pause")
def test_one_that_does_not_end_is_killed(modules: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settee_inventory.children._END_S", 0.05)

    async def scene() -> None:
        heard = Heard()
        child = await Child.start("deaf_child", first={}, told=heard.told, ended=heard.ended)
        assert await heard.news.get() == ("here", {})
        await end_all([child])
        code, _ = await heard.ending
        assert code < 0

    asyncio.run(scene())
