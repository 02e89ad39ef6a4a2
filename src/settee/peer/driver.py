"""Runs one session on one link: frames, effects, events and timers between them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from settee.errors import ConnectionFailedError, SetteeError, SyncError
from settee.limits import LOGGED_PER_SESSION_MAX, WRITE_BYTES_MAX
from settee.logs import peer_log
from settee.net.link import CloseInfo, Link
from settee.peer.effects import EffectRunner
from settee.peer.hooks import Hooks
from settee.peer.runtime import Runtime, as_settee_error
from settee.store import Commit, Store
from settee.sync.events import ActivityChanged, DocumentsReplicated, Event, Finished
from settee.sync.session import Session

__all__ = ["SessionDriver"]

_OUR_BUG = 1011
"""Close code of an end that was our own fault (wire protocol 1.8)."""


class SessionDriver:
    """Joins a session, a link and a store. Lives on the loop; `done` is set when both ended.

    Implements `LinkEvents`.
    """

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        session: Session,
        link: Link,
        *,
        keys: Sequence[int],
        remote: int | None,
        on_event: Callable[[ActivityChanged | DocumentsReplicated], None],
        tag: tuple[str, int],
        hooks: Hooks | None = None,
    ) -> None:
        self.session = session
        self.link = link
        self.error: SetteeError | None = None
        self.done: asyncio.Event = asyncio.Event()
        self._runtime = runtime
        self._store = store
        self._keys = list(keys)
        self._on_event = on_event
        self._log = peer_log("peer", peer=tag[0], session=tag[1])
        self._inbox: deque[tuple[int, object] | list[int]] = deque()
        """From other threads: answers to effects, and lists of collections that have changed."""
        self._waking = False
        self._runner = EffectRunner(runtime, store, keys, remote, self._answered, hooks)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._paused = False
        self._unlisten = store.on_commit(self._committed)
        self._ended = False

    def start(self) -> None:
        """Begin: an active session sends its first message, a passive one waits."""
        self._log.info("session started, %s", "active" if self.session.config.active else "passive")
        self.link.attach(self)
        if self.session.config.active:
            self._step(self.session.start)

    def stop(self) -> None:
        """End softly, as `Session.stop`."""
        self._step(self.session.stop)

    def end(self, code: int, reason: str) -> None:
        """Close the link with this code, whatever the session is doing."""
        if not self._ended:
            self.session.abandon()
            self.link.close(code, reason)

    def _now(self) -> float:
        return self._runtime.clock.monotonic()

    # --- what the link tells ----------------------------------------------------------------------

    def on_frames(self, frames: list[bytes]) -> None:
        """Take frames from the peer."""
        self._step(self.session.receive, frames)

    def on_writable(self) -> None:
        """Send what waited for the link."""
        self._step(None)

    def on_closed(self, info: CloseInfo) -> None:
        """The link has ended; so does the session."""
        if self._ended:
            return
        if not self.session.is_finished:
            self.session.abandon()
            self.error = self.error or _error_of_close(info, self.session.config.active)
        self._finish()

    # --- what the store tells ---------------------------------------------------------------------

    def _committed(self, commit: Commit) -> None:
        """Runs on the store's writer."""
        changed = [i for i, key in enumerate(self._keys) if key in commit.changes]
        if commit.external:
            changed = list(range(len(self._keys)))
        if changed:
            self._post(changed)

    def _answered(self, ticket: int, result: object) -> None:
        """Runs on the worker that carried the effect out."""
        self._post((ticket, result))

    def _post(self, item: tuple[int, object] | list[int]) -> None:
        """Tell the session soon, with all else that there will be to tell by then."""
        self._inbox.append(item)
        if not self._waking:
            self._waking = True
            self._runtime.call(self._wake)

    def _wake(self) -> None:
        self._waking = False  # First: who posts from here on wakes again.
        items = [self._inbox.popleft() for _ in range(len(self._inbox))]
        self._step(self._tell, items)

    def _tell(self, items: list[tuple[int, object] | list[int]], now: float) -> None:
        answers: list[tuple[int, object]] = []
        for item in items:
            if isinstance(item, tuple):
                answers.append(item)
                continue
            if answers:
                self.session.answer(answers, now)
                answers = []
            self.session.local_changed(item, now)
        if answers:
            self.session.answer(answers, now)

    # --- whatever happens -------------------------------------------------------------------------

    def _step(self, work: Callable[..., None] | None, *arguments: object) -> None:
        """Let the session work, then do what it asks for.

        A bug of ours must not leave the link open and silent: whatever is raised ends the session,
        is logged with its traceback, and is told as an error of settee's own.
        """
        if self._ended:
            return
        try:
            if work is not None:
                work(*arguments, self._now())
            self._after()
        except Exception as exc:
            self.session.abandon()
            self.error = as_settee_error(exc, "running a session")
            self.link.close(_OUR_BUG, "internal error")

    def _after(self) -> None:
        session, link = self.session, self.link
        self._runner.run(session.effects())
        while link.writable:
            frames = session.frames_to_send(WRITE_BYTES_MAX)
            if not frames:
                break
            link.send(frames)
        self._runner.run(session.effects())  # Blobs are read on as frames go out.
        pause = session.wants_reading_paused or (session.waits_for_link and not link.writable)
        if pause != self._paused:
            self._paused = pause
            if self._paused:
                link.pause()
            else:
                link.resume()
        for event in session.events():
            self._happened(event)
        held = 0 if session.is_finished else session.held_bytes
        crowding = self._runtime.crowd.holds(self, held)
        if crowding is not None:
            self._runtime.call(crowding.give_way)
        self._arm()

    def give_way(self) -> None:
        """End, for others: all together hold too much, and this one holds most."""
        self._step(lambda _: self.session.end(_too_much()))

    def _happened(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.error = event.error
            self.link.close(event.close_code, event.close_reason)
        else:
            self._on_event(event)

    def _arm(self) -> None:
        deadline = None if self._ended else self.session.next_deadline()
        if deadline == self._timer_at:
            return
        self._timer_at = deadline
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            delay = max(0.0, deadline - self._now())
            self._timer = self._runtime.loop.call_later(delay, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._timer_at = None
        self._step(self.session.handle_timer)

    def _finish(self) -> None:
        self._ended = True
        self._runtime.crowd.holds(self, 0)
        self._unlisten()
        self._arm()
        self._runner.close()
        for event in self.session.events():
            if not isinstance(event, Finished):
                self._on_event(event)
        ignored = self.session.ignored_count
        if ignored > LOGGED_PER_SESSION_MAX:
            self._log.warning("%d bad messages were ignored, most of them unlogged", ignored)
        self._log.info("session ended: %s", self.error or "done")
        self.done.set()


def _too_much() -> SyncError:
    return SyncError(
        "too much is under way here, and most of it on this link; come back later",
        domain="HTTP",
        code=503,
        transient=True,
    )


def _error_of_close(info: CloseInfo, active: bool) -> SetteeError | None:
    """Return what a link that the peer ended means (wire protocol 1.8)."""
    if info.error is not None:
        return info.error
    reason = f": {info.reason}" if info.reason else ""
    if not active and info.code in (1000, 1001):
        return None  # The active peer is done.
    if info.code in (1000, 1001):
        return SyncError(f"the peer closed the connection{reason}", domain="WebSocket", code=1001)
    if info.code == 1006:
        return ConnectionFailedError("the connection was lost", domain="WebSocket", code=1006)
    return SyncError(
        f"the peer ended the session ({info.code}){reason}",
        domain="WebSocket",
        code=info.code,
        transient=info.code == 4001,
    )
