from __future__ import annotations

import asyncio

from settee.aio.watching import blocking_of, until, values
from settee.peer.status import Watched


def watched() -> Watched[int]:
    return Watched(0, lambda call, value: call(value))


def test_values_come_from_now_to_the_last_and_leave_no_listener() -> None:
    async def work() -> list[int]:
        one = watched()
        loop = asyncio.get_running_loop()
        for value in (1, 2):
            loop.call_soon(one.set, value)
        seen = [value async for value in values(one, lambda v: v == 2)]
        assert one._listeners == []
        return seen

    assert asyncio.run(work()) == [0, 1, 2]


def test_until_is_true_in_time_and_false_after_it() -> None:
    async def work() -> None:
        one = watched()
        assert not await until(one, lambda v: v == 1, 0.001)
        asyncio.get_running_loop().call_soon(one.set, 1)
        assert await until(one, lambda v: v == 1, 10)
        assert one._listeners == []

    asyncio.run(work())


def test_names_of_collections_stay_names() -> None:
    assert blocking_of(None) is None
    assert blocking_of(["shop.items"]) == ["shop.items"]
