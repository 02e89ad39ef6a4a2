"""The three processes of the table."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from settee_inventory.table.crew import LOOKS, Crew


@pytest.mark.slow  # Three real processes with NiceGUI in them.
def test_three_devices_start_meet_die_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in [key for key in os.environ if "PYTEST" in key]:
        monkeypatch.delenv(key)  # NiceGUI in the processes looks whether it is under test.

    async def scene() -> None:
        told = asyncio.Condition()

        def on_news(name: str, event: str, fields: dict[str, Any]) -> None:
            async def notify() -> None:
                async with told:
                    told.notify_all()

            tasks.append(asyncio.get_running_loop().create_task(notify()))

        async def until(reached: Any) -> None:
            async with asyncio.timeout(60), told:
                await told.wait_for(reached)

        tasks: list[asyncio.Task[None]] = []
        crew = Crew(tmp_path, "http://127.0.0.1:1", on_news)
        try:
            await crew.start()
            members = list(crew.members.values())
            assert [member.name for member in members] == list(LOOKS)
            assert len({member.address for member in members}) == 3
            await until(lambda: all(len(m.links.get("linked", [])) == 2 for m in members))
            van = crew.members["Van"]
            assert van.child is not None
            van.child.process.kill()
            await until(lambda: van.failure)
            await until(lambda: all(len(m.links["linked"]) == 1 for m in members[:2]))
            await crew.restart("Van")
            assert van.failure == ""
            await until(lambda: all(len(m.links.get("linked", [])) == 2 for m in members))
        finally:
            await crew.close()
        codes = [m.child.process.returncode for m in crew.members.values() if m.child]
        assert codes == [0, 0, 0]

    asyncio.run(scene())
