"""Messages over one connection: frames <-> requests and replies. PURE.

Start at `connection.Connection`: the owner hands it frames as they come (`receive`) and takes
frames to send from it (`frames_to_send`). `inbox` puts messages together and keeps the peer to the
rules, `outbox` decides what goes out next, `message` says what a message is, `codec` compresses and
checks, `frame` knows a frame's bytes.
"""

from __future__ import annotations

from settee.blip.connection import Connection
from settee.blip.message import Reply, ReplyPart, Request, StreamSent, StreamWanted

__all__ = ["Connection", "Reply", "ReplyPart", "Request", "StreamSent", "StreamWanted"]
