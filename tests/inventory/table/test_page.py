"""What the table's page shows of what the devices have told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from settee_inventory.table.page import Table


def told(table: Table, name: str, **links: Any) -> None:
    table.crew.members[name].links = {"online": True, "linked": [], "busy": [], **links}


def table_of(tmp_path: Path) -> Table:
    table = Table(tmp_path, "http://127.0.0.1:1")
    for name, member in table.crew.members.items():
        member.key = name.lower()
    return table


def lines(table: Table) -> dict[str, str]:
    return {f"{line['one']}-{line['other']}": line["state"] for line in table.state()["lines"]}


def test_a_line_is_up_when_both_ends_say_so(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    told(table, "Kitchen", linked=["shop", "van"])
    told(table, "Shop", linked=["kitchen"], busy=["kitchen"])
    told(table, "Van")
    assert lines(table) == {"Kitchen-Shop": "moving", "Kitchen-Van": "trying", "Shop-Van": "trying"}


def test_lines_of_a_cut_device_are_cut(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    told(table, "Kitchen", linked=["shop", "van"])
    told(table, "Shop", linked=["kitchen"])
    told(table, "Van", online=False)
    assert lines(table) == {"Kitchen-Shop": "up", "Kitchen-Van": "cut", "Shop-Van": "cut"}


def test_a_process_that_died_is_told(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    table.crew.members["Van"].failure = "Its program ended (1)."
    van = table.state()["devices"][2]
    assert (van["name"], van["failure"]) == ("Van", "Its program ended (1).")
    assert lines(table)["Shop-Van"] == "cut"


def test_orders_go_to_nobody_before_the_start(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    table.crew.order("Van", "network", on=False)
    asyncio.run(table.close())
    assert table.state()["starting"]
