from __future__ import annotations

import threading

from settee.peer.status import Watched


def test_listeners_hear_each_change_until_they_end_it() -> None:
    watched = Watched(0, lambda call, value: call(value))
    heard: list[int] = []
    end = watched.listen(heard.append)
    watched.set(1)
    watched.set(2)
    end()
    end()
    watched.set(3)
    assert heard == [1, 2]
    assert watched.value == 3


def test_waiting_ends_with_the_value_or_in_time() -> None:
    watched = Watched(0, lambda call, value: call(value))
    assert not watched.wait(lambda v: v == 1, 0)
    thread = threading.Thread(target=watched.set, args=(1,))
    thread.start()
    assert watched.wait(lambda v: v == 1, 10)
    thread.join()


def test_iterating_gives_the_value_now_and_each_change_to_the_last() -> None:
    watched = Watched(0, lambda call, value: call(value))
    values = watched.iterate(lambda v: v == 2)
    assert next(values) == 0
    watched.set(1)
    watched.set(2)
    assert list(values) == [1, 2]
    assert watched._listeners == []
