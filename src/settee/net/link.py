"""A link: one open WebSocket connection between two peers, seen as lists of BLIP frames.

Everything above this room knows `Link` and `LinkEvents` only; the simulation has its own `Link`.
`SocketLink` is the real one. It gathers what is sent in one turn of the loop into one write,
answers PING, keeps the heartbeat, and takes care that every end is told once and says why.

Source: RFC 6455 parts 5.5 and 7, wire protocol 1.7 and 1.8.
"""

from __future__ import annotations

import asyncio
import enum
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from settee.errors import ConnectionFailedError, PeerError, PeerProtocolError, SyncError
from settee.limits import (
    CLOSE_WAIT_S,
    CONTROL_FRAMES_BURST_MAX,
    CONTROL_FRAMES_PER_S_MAX,
    EARLY_BYTES_MAX,
    FRAME_BYTES_MAX,
    HEARTBEAT_GRACE_S,
    HEARTBEAT_S,
    WRITE_BUFFER_BYTES_MAX,
    WRITE_BYTES_MAX,
)
from settee.logs import printable
from settee.net.frames import (
    NO_CODE,
    OP_BINARY,
    OP_CLOSE,
    OP_PING,
    OP_PONG,
    Parser,
    close_payload,
    pack,
    pack_control,
    parse_close,
)
from settee.net.wire import Wire

__all__ = ["CloseInfo", "Link", "LinkEvents", "PeerInfo", "SocketLink"]

CLOSE_NORMAL: Final = 1000
CLOSE_GOING_AWAY: Final = 1001
CLOSE_LOST: Final = 1006
CLOSE_POLICY: Final = 1008
CLOSE_OUR_BUG: Final = 1011
CLOSE_TRY_AGAIN: Final = 4001

_BROKEN: Final = frozenset({1002, 1003, 1007, CLOSE_POLICY, 1009})
"""What we close with when a peer breaks the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """Who is at the other end of a link."""

    address: str
    """IP address; a link-local one with its scope."""
    port: int
    tls_version: str | None = None
    """Such as ``"TLSv1.3"``; None without TLS."""
    certificate_der: bytes | None = field(default=None, repr=False)
    """The peer's own certificate, or None."""
    user_agent: str = ""
    """What it says it is: User-Agent of a client, Server of a server. Not to be trusted."""
    subprotocol: str = ""
    """Such as ``"BLIP_3+CBMobile_3"``."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of its request or of its answer, with lower-case names; may hold credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseInfo:
    """How a link ended."""

    code: int
    """The close code: the peer's if it closed first, else ours; 1006 without any CLOSE, 1005 for a
    CLOSE of the peer's that had no code."""
    reason: str = ""
    """What the peer or we said with it, as one safe line."""
    clean: bool = False
    """Whether both sides said goodbye."""
    error: SyncError | None = None
    """What went wrong, or None for our own `close` and `abort` and for the peer's 1000, 1001
    and 1005.

    An active peer that still had work to do makes an error of its own of those.
    """
    by_peer: bool = False
    """Whether the peer closed first, or went away without a word."""


@runtime_checkable
class LinkEvents(Protocol):
    """Who uses a link. Called on the loop; must not block and should not raise."""

    def on_frames(self, frames: list[bytes]) -> None:
        """Take the frames that came in one read."""

    def on_writable(self) -> None:
        """More may be sent, after `Link.writable` was false."""

    def on_closed(self, info: CloseInfo) -> None:
        """Learn that the link is gone; called once, and nothing after it."""


class Link(Protocol):
    """One open connection to a peer. To be used on its loop only."""

    def attach(self, events: LinkEvents) -> None:
        """Say once who uses the link; what came before is delivered now."""

    def send(self, frames: Iterable[bytes]) -> None:
        """Send frames in order; without effect once the link is closing.

        Never fails and never waits, but look at `writable` before.
        """

    @property
    def writable(self) -> bool:
        """Whether more should be sent now; when false, wait for `on_writable`."""

    def pause(self) -> None:
        """Read no more from the peer until `resume`; frames of one read may still come."""

    def resume(self) -> None:
        """Read again."""

    def ping(self) -> None:
        """Ask for a sign of life; any answer shows in `last_heard_s`."""

    @property
    def last_heard_s(self) -> float:
        """Seconds since anything came from the peer."""

    def close(self, code: int = CLOSE_NORMAL, reason: str = "") -> None:
        """Say goodbye with a code, wait for the answer, end. Idempotent."""

    def abort(self) -> None:
        """End at once, without a word: to the peer the connection is lost."""

    @property
    def peer(self) -> PeerInfo:
        """Who is at the other end."""


class _State(enum.Enum):
    OPEN = "open"
    CLOSING = "closing"
    """Our CLOSE is on its way; the peer's is awaited."""
    ENDING = "ending"
    """Nothing more to say; the connection is being ended."""
    CLOSED = "closed"


# The whole machine. A step which is not listed here is a bug, not an error.
_STEPS: Final = frozenset(
    {
        (_State.OPEN, _State.CLOSING),
        (_State.OPEN, _State.ENDING),
        (_State.OPEN, _State.CLOSED),
        (_State.CLOSING, _State.ENDING),
        (_State.CLOSING, _State.CLOSED),
        (_State.ENDING, _State.CLOSED),
    }
)


class SocketLink:
    """A `Link` over a `Wire`, after the handshake.

    `server` tells which end this is. `heartbeat_s` seconds of silence bring a PING, `grace_s` more
    the end (None: never). `on_gone` is called when the connection is gone, before the events'
    `on_closed`. Made by `Acceptor` and `dial`.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        server: bool,
        peer: PeerInfo,
        heartbeat_s: float | None = HEARTBEAT_S,
        grace_s: float = HEARTBEAT_GRACE_S,
        close_wait_s: float = CLOSE_WAIT_S,
        on_gone: Callable[[], None] | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._wire = wire
        self._server = server
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._parser = Parser(server)
        self._random_bytes = random_bytes
        self._on_gone = on_gone
        self._state = _State.OPEN
        self._info: CloseInfo | None = None
        """What `on_closed` will say, once it is known."""
        self._events: LinkEvents | None = None
        self._early: list[bytes] = []
        self._early_bytes = 0
        # Sending
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._urgent: list[bytes] = []
        self._goodbye: bytes | None = None
        self._flush_due = False
        self._was_full = False
        # Receiving
        self._paused = False
        self._heard_at = self._loop.time()
        self._unheard_bytes = 0
        self._tokens = float(CONTROL_FRAMES_BURST_MAX)
        self._tokens_at = self._heard_at
        # Time
        self._heartbeat_s = heartbeat_s
        self._grace_s = grace_s
        self._close_wait_s = close_wait_s
        self._pinged = False
        self._stalled_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        wire.user = self
        if heartbeat_s is not None:
            self._timer = self._loop.call_later(heartbeat_s, self._beat)

    # The surface -------------------------------------------------------------------------------

    @property
    def peer(self) -> PeerInfo:
        """Who is at the other end."""
        return self._peer

    @property
    def writable(self) -> bool:
        """Whether more should be sent now; when false, `on_writable` will be called."""
        if self._state is not _State.OPEN:
            return False
        if self._wire.full or self._queued_bytes >= WRITE_BUFFER_BYTES_MAX:
            self._was_full = True
            return False
        return True

    @property
    def broken(self) -> bool:
        """Whether it was ended, or is being ended, because the peer broke the protocol."""
        info = self._info
        return info is not None and not info.by_peer and info.code in _BROKEN

    @property
    def last_heard_s(self) -> float:
        """Seconds since anything came from the peer."""
        return self._loop.time() - self._heard_at

    def attach(self, events: LinkEvents) -> None:
        """Say once who uses the link; what came before is delivered now."""
        assert self._events is None, "a link has one user"
        self._events = events
        early, self._early, self._early_bytes = self._early, [], 0
        if early:
            self._deliver(early)
        if self._state is _State.CLOSED:
            self._tell_closed()
        elif not self._paused:
            self._wire.resume_reading()

    def send(self, frames: Iterable[bytes]) -> None:
        """Send frames in order, in the next turn of the loop, gathered with others."""
        if self._state is not _State.OPEN:
            return
        batch = frames if isinstance(frames, list | tuple) else list(frames)
        self._queue.extend(batch)
        self._queued_bytes += sum(map(len, batch))
        self._flush_soon()

    def pause(self) -> None:
        """Read no more from the peer until `resume`."""
        if self._state is _State.OPEN and not self._paused:
            self._paused = True
            self._wire.pause_reading()

    def resume(self) -> None:
        """Read again. The time that we did not listen is not held against the peer."""
        if self._paused:
            self._paused = False
            self._heard_at = self._loop.time()
            self._wire.resume_reading()

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self._state is _State.OPEN:
            self._urgent.append(self._control(OP_PING, b""))
            self._flush_soon()

    def close(self, code: int = CLOSE_NORMAL, reason: str = "") -> None:
        """Say goodbye with a code, wait up to `close_wait_s` for the answer, end.

        What was sent before goes out before, if one write can take it; a peer that does not read
        does not hold up the goodbye.
        """
        if self._state is not _State.OPEN:
            return
        self._info = CloseInfo(code=code, reason=reason)
        if self._wire.full or self._queued_bytes > WRITE_BYTES_MAX:
            self._queue.clear()
        self._say_goodbye(close_payload(code, reason))
        self._step(_State.CLOSING)
        self._paused = False
        self._wire.resume_reading()  # The answer has to be seen.
        self._arm(self._close_wait_s, self._wire.abort)

    def abort(self) -> None:
        """End at once, without a word."""
        if self._state is not _State.CLOSED:
            if self._info is None:
                self._info = CloseInfo(code=CLOSE_LOST, reason="aborted here")
            self._wire.abort()

    # What the wire tells -----------------------------------------------------------------------

    def connected(self) -> None:
        """Never called: the handshake is over."""

    def received(self, data: bytes) -> None:
        """Cut what came into messages and hand them on."""
        if self._state is _State.ENDING:
            return
        try:
            messages = self._parser.feed(data)
        except PeerProtocolError as error:
            self._handle(self._parser.before_error)
            self._fail(error)
            return
        self._unheard_bytes += len(data)
        # Single bytes are no sign of life: who sends one a second would keep a slot for ever.
        if messages or self._unheard_bytes >= FRAME_BYTES_MAX:
            self._heard_at = self._loop.time()
            self._unheard_bytes = 0
            self._pinged = False
        if messages:
            self._handle(messages)

    def drained(self) -> None:
        """Go on writing."""
        self._stalled_at = None
        self._flush_soon()

    def ended(self, error: Exception | None) -> None:
        """The connection is gone: tell why."""
        if self._info is None:
            why = f": {error.strerror or error}" if isinstance(error, OSError) else ""
            self._info = CloseInfo(
                code=CLOSE_LOST,
                by_peer=True,
                error=ConnectionFailedError(
                    f"the connection to {self._where} was lost without a goodbye{why}",
                    domain="WebSocket",
                    code=CLOSE_LOST,
                ),
            )
        self._step(_State.CLOSED)
        if self._timer is not None:
            self._timer.cancel()
        self._queue.clear()
        self._urgent.clear()
        if self._on_gone is not None:
            self._on_gone()
        if self._events is not None:
            self._tell_closed()

    # Receiving ---------------------------------------------------------------------------------

    def _handle(self, messages: list[tuple[int, bytes]]) -> None:
        frames = [payload for opcode, payload in messages if opcode == OP_BINARY]
        if frames and self._state is _State.OPEN:
            if self._events is not None:
                self._deliver(frames)
            else:
                self._keep(frames)
        if len(frames) < len(messages):
            for opcode, payload in messages:
                if opcode != OP_BINARY:
                    self._handle_control(opcode, payload)

    def _deliver(self, frames: list[bytes]) -> None:
        assert self._events is not None
        try:
            self._events.on_frames(frames)
        except Exception as exc:
            self._report_bug(exc)
            self.close(CLOSE_OUR_BUG, "internal error")

    def _keep(self, frames: list[bytes]) -> None:
        """Keep frames until somebody is attached."""
        self._early += frames
        self._early_bytes += sum(map(len, frames))
        if self._early_bytes > EARLY_BYTES_MAX:
            self._wire.pause_reading()

    def _handle_control(self, opcode: int, payload: bytes) -> None:
        if self._state not in (_State.OPEN, _State.CLOSING):
            return
        if opcode == OP_CLOSE:
            self._handle_close(payload)
        elif self._state is _State.OPEN:
            if not self._spend_token():
                self._fail(
                    PeerProtocolError(
                        f"the peer {self._where} floods the link with pings",
                        domain="WebSocket",
                        code=CLOSE_POLICY,
                    )
                )
            elif opcode == OP_PING:  # A PONG has done its work by coming.
                self._urgent.append(self._control(OP_PONG, payload))
                self._flush_soon()

    def _handle_close(self, payload: bytes) -> None:
        if self._state is _State.CLOSING:
            assert self._info is not None
            self._info = CloseInfo(code=self._info.code, reason=self._info.reason, clean=True)
            self._step(_State.ENDING)
            self._loop.call_soon(self._wire.close)
            return
        code, raw_reason = parse_close(payload)
        reason = printable(raw_reason)
        self._info = CloseInfo(
            code=code,
            reason=reason,
            clean=True,
            error=self._peers_error(code, reason),
            by_peer=True,
        )
        self._queue.clear()
        self._say_goodbye(payload)
        self._step(_State.ENDING)

    def _peers_error(self, code: int, reason: str) -> SyncError | None:
        """Return what a close by the peer means, by wire protocol 1.8."""
        if code in (CLOSE_NORMAL, CLOSE_GOING_AWAY, NO_CODE):
            return None
        return PeerError(
            f"the peer {self._where} closed the connection with code {code}"
            + (f": {reason}" if reason else ""),
            domain="WebSocket",
            code=code,
            transient=code == CLOSE_TRY_AGAIN,
        )

    def _spend_token(self) -> bool:
        now = self._loop.time()
        earned = (now - self._tokens_at) * CONTROL_FRAMES_PER_S_MAX
        self._tokens = min(self._tokens + earned, float(CONTROL_FRAMES_BURST_MAX)) - 1
        self._tokens_at = now
        return self._tokens >= 0

    def _fail(self, error: PeerProtocolError) -> None:
        """Close because of what the peer sent; whatever it sends now is thrown away."""
        if self._state not in (_State.OPEN, _State.CLOSING):
            return
        self._info = CloseInfo(code=error.code, reason=str(error), error=error)
        self._queue.clear()
        if self._state is _State.OPEN:
            self._say_goodbye(close_payload(error.code, str(error)))
        else:
            self._loop.call_soon(self._wire.close)
        self._step(_State.ENDING)

    # Sending -----------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write once: control frames, then as many frames as fit, then a CLOSE."""
        self._flush_due = False
        if self._state is _State.CLOSED:
            return
        pieces = self._urgent
        self._urgent = []
        if self._queue and not self._wire.full:
            pieces.append(self._take())
        if self._goodbye is not None:
            pieces.append(self._goodbye)
            self._goodbye = None
            if self._state is _State.ENDING:
                self._loop.call_soon(self._end)
        if pieces:
            self._wire.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            if self._wire.full and self._stalled_at is None:
                self._stalled_at = self._loop.time()
        if self._queue and not self._wire.full:
            self._flush_soon()
        if self._was_full and self.writable:
            self._was_full = False
            if self._events is not None:
                try:
                    self._events.on_writable()
                except Exception as exc:
                    self._report_bug(exc)
                    self.close(CLOSE_OUR_BUG, "internal error")

    def _take(self) -> bytes:
        """Take frames off the queue, at least one and at most a write full, and pack them."""
        queue = self._queue
        batch: list[bytes] = []
        size = 0
        while queue:
            size += len(queue[0]) + 14
            if size > WRITE_BYTES_MAX and batch and self._state is _State.OPEN:
                break
            batch.append(queue.popleft())
        self._queued_bytes -= sum(map(len, batch))
        return pack(batch, None if self._server else self._random_bytes(4 * len(batch)))

    def _control(self, opcode: int, payload: bytes) -> bytes:
        return pack_control(opcode, payload, None if self._server else self._random_bytes(4))

    def _say_goodbye(self, payload: bytes) -> None:
        self._goodbye = self._control(OP_CLOSE, payload)
        self._flush_soon()

    def _end(self) -> None:
        """End after our CLOSE, which is the last word of the two."""
        if self._info is not None and self._info.clean:
            self._wire.close()
        else:
            # It went on sending: what is unread would reset the connection and lose our CLOSE.
            self._wire.close_after_peer()

    # Time and ends -----------------------------------------------------------------------------

    def _beat(self) -> None:
        assert self._heartbeat_s is not None
        now = self._loop.time()
        if self._paused or (self._events is None and self._early_bytes > EARLY_BYTES_MAX):
            self._heard_at = now  # We don't listen, so silence means nothing.
        limit_s = self._heartbeat_s + self._grace_s
        silent_s = now - self._heard_at
        stalled_s = 0.0 if self._stalled_at is None else now - self._stalled_at
        if silent_s >= limit_s or stalled_s >= limit_s:
            what = "sent nothing" if silent_s >= limit_s else "took nothing"
            self._info = CloseInfo(
                code=CLOSE_LOST,
                error=ConnectionFailedError(
                    f"the peer {self._where} {what} for {limit_s:g} s; it counts as gone",
                    domain="Network",
                    code=3,
                ),
            )
            self._wire.abort()
            return
        if silent_s >= self._heartbeat_s:
            if not self._pinged:
                self._pinged = True
                self.ping()
            wait_s = limit_s - silent_s
        else:
            wait_s = self._heartbeat_s - silent_s
        self._timer = self._loop.call_later(max(wait_s, 0.001), self._beat)

    def _arm(self, delay_s: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, action)

    def _step(self, state: _State) -> None:
        assert (self._state, state) in _STEPS, f"{self._state} -> {state}"
        self._state = state
        if state is _State.ENDING and self._timer is not None:
            self._timer.cancel()

    def _tell_closed(self) -> None:
        assert self._events is not None
        assert self._info is not None
        try:
            self._events.on_closed(self._info)
        except Exception as exc:
            self._report_bug(exc)

    def _report_bug(self, exc: Exception) -> None:
        self._loop.call_exception_handler(
            {"message": f"the user of the link to {self._where} raised", "exception": exc}
        )

    @property
    def _where(self) -> str:
        return f"{self._peer.address}:{self._peer.port}"
