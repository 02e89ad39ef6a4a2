"""Who is to be told: callbacks that are added and taken out, and called one after another."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Callbacks"]

_log = logging.getLogger("settee_inventory.book")

News = TypeVar("News")


class Callbacks(Generic[News]):
    """Callbacks for one kind of news. Not for several threads."""

    def __init__(self) -> None:
        self._all: list[Callable[[News], object]] = []

    def add(self, callback: Callable[[News], object]) -> Callable[[], None]:
        """Call back from now on; returns the function that ends it."""
        self._all.append(callback)

        def end() -> None:
            if callback in self._all:
                self._all.remove(callback)

        return end

    def tell(self, news: News) -> None:
        """Call each back; one that fails keeps neither the others nor the edit from going on."""
        for callback in list(self._all):
            try:
                callback(news)
            except Exception:
                _log.exception("a callback of the inventory raised an error")
