"""What the pages can ask for."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from settee import TLSIdentity
from settee_inventory.book import InputError
from settee_inventory.web.actions import ActionError, pem_of
from tests.inventory.web.desks import SESSION, do, opened

REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("no_such_thing", {}, "another version"),
    ("count", {"id": "item::apples", "by": "1"}, "too much"),
    ("count", {"id": "item::apples", "by": True}, "too much"),
    ("count", {"id": "item::apples", "by": 10**9}, "too much"),
    ("count", {"by": 1}, "missing"),
    ("set_quantity", {"id": "item::apples", "text": "ten"}, "whole number"),
    ("set_quantity", {"id": "item::apples", "text": ""}, "whole number"),
    ("set_quantity", {"id": "item::apples", "text": "-3"}, "whole number"),
    ("set_quantity", {"id": "item::apples", "text": "9" * 12}, "whole number from 0 to"),
    ("set_quantity", {"id": "item::apples", "text": "1" * 5000}, "too long"),
    ("field", {"id": "item::apples", "field": "name", "text": "  "}, "at least one character"),
    ("field", {"id": "item::apples", "field": "_id", "text": "x"}, "no such field"),
    ("add", {"name": "", "quantity": "1", "unit": ""}, "at least one character"),
    ("meet", {"address": "nowhere"}, "Add a port"),
    ("encryption", {"mode": "rot13"}, "no such mode"),
    ("encryption", {"mode": "own", "file": "!", "password": ""}, "did not arrive whole"),
    ("encryption", {"mode": "own", "file": "aGk=", "password": ""}, "can't be used"),
    ("option", {"name": "check", "value": "maybe"}, "no such switch"),
    ("certificate_file", {"what": "pinned", "file": "aGk="}, "no certificate"),
    ("user", {"name": "ann", "password": ""}, "Type a password"),
    ("user", {"name": "bob", "role": "look"}, "you stay"),
    ("remove_user", {"name": "bob"}, "You are logged in with that name"),
    ("device", {"name": " "}, "needs a name"),
)


def test_what_cannot_be_done_is_told_and_changes_nothing(tmp_path: Path) -> None:
    async def scene() -> list[str]:
        wrong = []
        async with opened(tmp_path) as desk:
            assert desk.book is not None
            before = dict(desk.book.items)
            for name, args, sentence in REFUSED:
                try:
                    wrong.append(f"{name} {args}: done: {await do(desk, name, **args)}")
                except (ActionError, InputError) as error:
                    if sentence not in str(error):
                        wrong.append(f"{name} {args}: {error}")
            assert dict(desk.book.items) == before
        return wrong

    assert asyncio.run(scene()) == []


def test_the_list_is_edited(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            book = desk.book
            assert book is not None
            await do(desk, "count", id="item::apples", by=-3)
            await do(desk, "set_quantity", id="item::corn", text=" 1,200 ")
            await do(desk, "field", id="item::corn", field="name", text="Maize")
            await do(desk, "field", id="item::corn", field="unit", text="kg")
            await do(desk, "field", id="item::corn", field="warn", text="5")
            assert book.items["item::apples"].quantity == 7
            corn = book.items["item::corn"]
            assert (corn.name, corn.quantity, corn.unit, corn.warn_under) == (
                "Maize",
                1200,
                "kg",
                5,
            )
            await do(desk, "field", id="item::corn", field="warn", text="")
            assert book.items["item::corn"].warn_under is None
            added = await do(desk, "add", name="Figs", quantity="3", unit="")
            assert book.items[added].quantity == 3
            assert await do(desk, "remove", id=added)
            assert added not in book.items
            assert await do(desk, "undo") == "Undone: Figs"
            assert added in book.items
            done = await do(desk, "history", id="item::apples")
            assert (done[0]["who"], done[0]["did"]) == ("You", "took 3 away")

    asyncio.run(scene())


def test_who_may_only_look_can_look_and_log_out_and_no_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            desk.accounts.set_role("bob", "look")
            assert desk.state(SESSION)["me"]["role"] == "look"
            for name in ("count", "add", "remove", "undo", "user", "restore"):
                with pytest.raises(ActionError, match="You may look"):
                    await do(desk, name, id="item::apples", by=1)
            assert await do(desk, "history", id="item::apples") == []
            await do(desk, "log_out")

    asyncio.run(scene())


def test_users_are_added_changed_and_removed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            await do(desk, "user", name="ann", password="secret", role="look")
            assert desk.accounts.roles() == [("ann", "look"), ("bob", "edit")]
            await do(desk, "user", name="ann", password="", role="edit")
            assert desk.accounts.check("ann", "secret")
            assert desk.accounts.may_write("ann")
            await do(desk, "remove_user", name="ann")
            assert desk.accounts.roles() == [("bob", "edit")]

    asyncio.run(scene())


def test_the_listener_goes_through_its_four_modes(tmp_path: Path) -> None:
    bundle = base64.b64encode(TLSIdentity.create("shop").to_pkcs12("pw")).decode()

    async def scene() -> None:
        async with opened(tmp_path) as desk:
            network = desk.network
            assert network is not None
            assert await do(desk, "listen")
            port = network.listening.port
            words = desk.state(SESSION)["listener"]["words"]
            assert len(words) == 6
            assert (await do(desk, "qr")).startswith("data:image/png;base64,")
            for mode, begins, count in (
                ("anonymous", "wss:", 0),
                ("none", "ws:", 0),
                ("generated", "wss:", 6),
            ):
                await do(desk, "encryption", mode=mode)
                listener = desk.state(SESSION)["listener"]
                assert listener["mode"] == mode
                assert listener["urls"][0].startswith(begins)
                assert len(listener["words"]) == count
                assert network.listening.port == port
            assert desk.state(SESSION)["listener"]["words"] == words
            await do(desk, "encryption", mode="own", file=bundle, password="pw")
            assert desk.state(SESSION)["listener"]["words"] not in ([], words)
            await do(desk, "stop_listening")
            assert not desk.state(SESSION)["listener"]["running"]

    asyncio.run(scene())


def test_a_mode_that_cannot_start_leaves_the_former_running(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            assert await do(desk, "listen")
            with pytest.raises(ActionError, match="Choose the certificate file"):
                await do(desk, "encryption", mode="own")
            listener = desk.state(SESSION)["listener"]
            assert (listener["running"], listener["mode"]) == (True, "generated")

    asyncio.run(scene())


def test_a_certificate_file_may_be_pem_or_der() -> None:
    identity = TLSIdentity.create("shop")
    pem = pem_of(identity.certificate_der)
    assert "".join(pem.split()) == "".join(identity.certificate_pem.decode().split())
    assert pem_of(identity.certificate_pem) == identity.certificate_pem.decode()
    with pytest.raises(ActionError, match="no certificate"):
        pem_of(b"hello")
