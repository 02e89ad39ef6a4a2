"""Every bound and tuning value, with its reason.

What no peer may take can't be saved: the limits of a document are the same at `save` and on the
wire. Values are bytes, seconds or counts, as their last word says.
"""

from __future__ import annotations

from typing import Final

# --- documents (the same at save and on the wire) ------------------------------------------------

DOCUMENT_ID_BYTES_MAX: Final = 240
"""Couchbase Lite refuses longer IDs (UTF-8 bytes)."""

DOCUMENT_BODY_BYTES_MAX: Final = 20 * 2**20
"""Sync Gateway takes no larger document; also the bound of an inflated `rev`."""

JSON_DEPTH_MAX: Final = 100
"""Couchbase Lite's converter refuses deeper nesting."""

JSON_CONTAINERS_MAX: Final = 1_000_000
"""Objects and arrays in one body: 3 bytes of it can become 64 in memory, or 200."""

DELTA_TEXT_STEPS_MAX: Final = 100_000
"""Steps of one text change in a delta; whoever needs more sends the text."""

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1
"""Integers outside can't be stored by Couchbase Lite, nor by SQLite's JSON functions."""

BLOB_BYTES_MAX: Final = 2**30
"""One blob. Streamed, never whole in memory; the bound keeps one peer from filling a disk."""

REVISION_ID_BYTES_MAX: Final = 512
"""Longest revision ID or version read from a peer."""

REVISION_NAME_BYTES_MAX: Final = 64 * 1024
"""Longest name of a revision in an offer: where versions are spoken it may be a whole vector."""

HISTORY_NAMES_MAX: Final = 50
"""Ancestors kept and sent per document: Couchbase Lite 3.1's own depth."""

HISTORY_NAMES_RECEIVED_MAX: Final = 1000
"""Ancestors accepted in one `history`; the newest `HISTORY_NAMES_MAX` are kept."""

VECTOR_SOURCES_MAX: Final = 64
"""Authors kept in a version vector before the oldest are dropped."""

CLOCK_AHEAD_S_MAX: Final = 120
"""A version further in the future than this is refused, as Couchbase Lite does."""

DELTA_BODY_BYTES_MIN: Final = 200
"""Smaller bodies are sent whole; Couchbase Lite's own threshold."""

DELTA_BASES_MAX: Final = 2
"""Earlier bodies kept per document for deltas, besides those that a remote is known to have."""

# --- BLIP ---------------------------------------------------------------------------------------

FRAME_BYTES_MAX: Final = 16384
"""A frame sent, header and checksum included: Sync Gateway's reader is made for it."""

FRAME_BYTES_LONG_MAX: Final = 60 * 1024
"""The same to settee peers, which do as much for a frame as for a document. With what is said in
between it fits into one write."""

FRAME_BYTES_RECEIVED_MAX: Final = 2**20
"""A frame received; Couchbase Lite accepts no WebSocket message over 1 MiB either."""

PROPERTIES_BYTES_MAX: Final = 100 * 1024
"""Encoded properties of a message: larger is fatal to Couchbase Lite."""

ACK_INTERVAL_BYTES: Final = 50_000
"""A receiver acknowledges a message each time this many bytes of it have come."""

UNACKED_BYTES_MAX: Final = 128_000
"""A sender parks a message that has this many unacknowledged bytes."""

MESSAGES_INCOMPLETE_MAX: Final = 64
"""Incoming requests begun and not finished, per connection."""

MESSAGES_INCOMPLETE_BYTES_MAX: Final = 64 * 2**20
"""Incoming messages begun and not finished, inflated and together; streamed ones apart. From
`INBOUND_BYTES_MAX` on only the oldest is acknowledged, so a peer that has ten long messages out at
once, as Couchbase Lite may, stays below."""

MESSAGE_BODY_BYTES_MAX: Final = DOCUMENT_BODY_BYTES_MAX + PROPERTIES_BYTES_MAX
"""An incoming message, inflated; blobs are streamed and not held to this."""

REPLIES_WAITING_BYTES_MAX: Final = 16 * 2**20
"""Answers of ours that wait for the link, or for ACKs, per connection. A peer that asks and does
not read what it is told is broken: those that read leave no more than a few hundred KiB."""

REPLIES_WAITING_READING_BYTES_MAX: Final = 256 * 1024
"""With more than this waiting for a link that takes nothing, the link is not read either: whoever
does not hear the answers can't ask on."""

ACKS_IDLE_MAX: Final = 1000
"""ACKs that say nothing new, beyond one for each frame that we sent: there are some in any order of
events, and a flood of them in none."""

REQUESTS_UNANSWERED_READING_MAX: Final = 4096
"""With more requests than this waiting for our disk the link is not read. Couchbase Lite counts
the bytes of what it has out (2 MiB), not the revisions: of small documents that is tens of
thousands."""

REQUESTS_UNANSWERED_MAX: Final = 32_768
"""Incoming requests not yet answered, per connection; a peer that sends more is broken. What one
read may hold of the shortest requests fits above `REQUESTS_UNANSWERED_READING_MAX`."""

COMPRESSION_LEVEL: Final = 1
"""Of the deflate stream. Level 1 costs half of level 6 and gives nearly the same on rows."""

COMPRESS_BODY_BYTES_MIN: Final = 64
"""Shorter messages aren't worth a deflate flush."""

# --- replication --------------------------------------------------------------------------------

CHANGES_ROWS_MAX: Final = 200
"""Rows in one `changes` or `proposeChanges` message, as Couchbase Lite sends."""

CHANGES_BYTES_MAX: Final = 14_000
"""The body of one such message sent: it must fit into one frame, however badly it compresses.
Of several frames a later, shorter message would overtake it, and its receiver, who goes by the
order of arrival, would believe that it has all up to a sequence that it has not."""

CHANGES_ROWS_RECEIVED_MAX: Final = 1000
"""Rows accepted in one message."""

CHANGES_UNANSWERED_MAX: Final = 10
"""`changes` or `proposeChanges` messages out at once: rows for as many `rev` as may be out."""

SEQUENCE_BYTES_MAX: Final = 1024
"""A sequence of a peer, as JSON text: it must fit into a property and a checkpoint."""

DOCUMENT_IDS_SUBSCRIBED_MAX: Final = 100_000
"""Document IDs in one `subChanges`: they are kept, and looked up with every page of the feed."""

REVS_UNANSWERED_MAX: Final = 2000
"""`rev` messages out at once; a peer that takes fewer delays its `changes` replies. With 1,000 the
sender of small documents waits more of the time; with 4,000 an edit on another link takes twice as
long as with 2,000."""

REVS_UNANSWERED_BYTES_MAX: Final = 2 * 2**20
"""Bytes of `rev` bodies out and unanswered, per link."""

REVS_WANTED_MAX: Final = 4000
"""A puller delays its answer to `changes` while this many asked-for revisions are missing."""

INBOUND_BYTES_MAX: Final = 32 * 2**20
"""Bytes received and not yet stored, per link; above it the link is not read."""

INBOUND_TOTAL_BYTES_MAX: Final = 256 * 2**20
"""The same of all links of a database together, unfinished messages and blobs that are being sent
included. Above it the link that holds most is ended, with the request to come back later."""

RECEIVE_PORTION_BYTES: Final = 32 * 1024
"""Frames opened at once: they may inflate to a thousand times of this before anybody looks."""

SAVES_IN_FLIGHT_MAX: Final = 2
"""Batches of revisions handed to the store at once: one commits while the next gathers."""

SAVE_BATCH_REVISIONS_MAX: Final = 1000
"""Revisions in one batch handed to the store."""

SAVE_BATCH_BYTES_MAX: Final = 8 * 2**20
"""Bytes of bodies in one batch handed to the store."""

BASES_READ_BYTES_MAX: Final = 8 * 2**20
"""Bodies read at once to apply deltas to; at least one is read."""

BLOB_CHUNK_BYTES: Final = 64 * 1024
"""A blob is read and written in pieces of this size."""

BLOBS_FETCHED_AT_ONCE_MAX: Final = 64
"""`getAttachment` requests out at once, per link, while what they ask for is small."""

BLOBS_FETCHED_AT_ONCE_BYTES_MAX: Final = 8 * 2**20
"""What is small: bytes of all blobs that are being fetched. A lost connection loses what came of
them, so large ones are not all begun at once. (A settee peer sends small ones one after the other,
so of those little is lost.)"""

LARGE_BLOBS_FETCHED_AT_ONCE_MAX: Final = 8
"""`getAttachment` requests out at once, per link, whatever they ask for."""

BLOBS_SERVED_AT_ONCE_MAX: Final = 64
"""Blobs being sent at once, per link; each has a buffer. Further requests wait for their turn."""

NONCE_BYTES_MIN: Final = 16
"""Of a peer that wants a blob proven: Sync Gateway sends 20. The protocol lets it be one byte, and
a proof for each nonce of one byte could be kept and shown to others without the blob."""

NONCE_BYTES_MAX: Final = 255
"""The protocol writes its length in one byte."""

CHECKPOINT_ID_BYTES_MAX: Final = 128
CHECKPOINT_BODY_BYTES_MAX: Final = 64 * 1024
CHECKPOINT_RANGES_MAX: Final = 1000
"""Ranges of completed sequences written into a checkpoint: its body stays far below the limit."""

CHECKPOINTS_PER_PEER_MAX: Final = 64
"""Collections that one session may name, and checkpoints that it may write: each has one."""

CHECKPOINT_INTERVAL_S: Final = 5.0
"""A running replication saves its checkpoint this often, and when it falls idle or ends."""

REPLY_TIMEOUT_S: Final = 60.0
"""Without any answer to a session-level request for this long the peer counts as gone."""

HEARTBEAT_S: Final = 60.0
"""A ping after this long without hearing from the peer (Couchbase Lite: 300)."""

HEARTBEAT_GRACE_S: Final = 20.0
"""Silence for heartbeat + this ends the link."""

RETRY_WAIT_S_MAX: Final = 300.0
"""The longest pause between two attempts to connect."""

ATTEMPTS_ONE_SHOT_MAX: Final = 10
"""Attempts of a one-shot replication: the first and nine more. Continuous ones never give up."""

# --- network ------------------------------------------------------------------------------------

HANDSHAKE_TLS_S: Final = 10.0
HANDSHAKE_TOTAL_S: Final = 15.0
"""From accept (or connect) to the WebSocket being open; bytes do not extend it."""

CONNECT_S: Final = 4.0
"""One TCP connection attempt: a wrong address should tell within five seconds."""

CONNECTIONS_MAX: Final = 256
CONNECTIONS_PER_IP_MAX: Final = 32
CONNECTIONS_UNAUTHENTICATED_MAX: Final = 64

BROKEN_LINKS_MAX: Final = 5
BROKEN_LINKS_S: Final = 60.0
"""When so many links of one address were ended for breaking the protocol within this time, no more
of its connections are accepted until that is over. Peers in order break none."""

BROKEN_WATCHED_MAX: Final = 4096
"""Addresses of which that is remembered."""

HTTP_LINE_BYTES_MAX: Final = 8 * 1024
HTTP_HEADERS_MAX: Final = 64
HTTP_HEAD_BYTES_MAX: Final = 16 * 1024
HTTP_BODY_BYTES_MAX: Final = 64 * 1024
"""The body of an HTTP refusal, read for its reason."""

REDIRECTS_MAX: Final = 10

COOKIE_BYTES_MAX: Final = 4096
"""Name and value of one cookie."""

COOKIES_PER_DOMAIN_MAX: Final = 20
COOKIE_HEADER_BYTES_MAX: Final = 6 * 1024
"""What all cookies of a request may take of its head."""

LOGIN_FAILURES_MAX: Final = 5
"""Wrong passwords of one user from one address within a minute that cost no wait."""

LOGIN_WINDOW_S: Final = 60.0
LOGIN_DELAY_S: Final = 2.0
"""After that, one try every so many seconds."""

LOGIN_DELAY_S_MAX: Final = 8.0
"""Whoever would have to wait for longer is told to come back later."""

LOGIN_CHECKS_AT_ONCE_MAX: Final = 2
"""Password checks that run at the same time: each takes 16 MiB and a core for 50 ms."""

LOGINS_WATCHED_MAX: Final = 4096
"""Addresses and users whose failures are remembered."""

WEBSOCKET_MESSAGE_BYTES_MAX: Final = FRAME_BYTES_RECEIVED_MAX
WEBSOCKET_PARTS_MAX: Final = 64
"""Continuation frames of one message."""

CONTROL_FRAMES_PER_S_MAX: Final = 20
CONTROL_FRAMES_BURST_MAX: Final = 40

WRITE_BYTES_MAX: Final = 64 * 1024
"""Frames are gathered into writes of at most this size."""

WRITE_BUFFER_BYTES_MAX: Final = 256 * 1024
"""Above this the transport asks us to pause."""

CLOSE_WAIT_S: Final = 5.0
"""For the peer's CLOSE echo."""

LINGER_S: Final = 2.0
"""For the last bytes to leave, or for a refused peer to read why; then the end is forced."""

READ_BUFFER_BYTES: Final = 256 * 1024
"""One per loop, shared by its connections: what one read can take."""

EARLY_BYTES_MAX: Final = 2**20
"""Received before anybody is there to take it; above it the link is not read."""

DIAL_STAGGER_S: Final = 0.25
"""Before the next address of a name is tried beside the one that does not answer yet."""

ACCEPT_BACKLOG: Final = 128
"""Connections that the kernel keeps for us before they are accepted."""

CERTIFICATE_BYTES_MAX: Final = 64 * 1024
"""A certificate from a peer, as DER; real ones have 400 bytes to 4 KiB."""

LABEL_CHARACTERS_MAX: Final = 64
"""An identity's label is its certificate's common name, which X.509 bounds at 64."""

SECRET_FILE_BYTES_MAX: Final = 4 * 2**20
"""A file of keys or of password hashes: some 30,000 users."""

USER_NAME_BYTES_MAX: Final = 255
PASSWORD_BYTES_MAX: Final = 1024
"""As UTF-8. Longer ones are refused before anything is hashed."""

TXT_BYTES_MAX: Final = 400
PEERS_FOUND_MAX: Final = 1000
PEER_ADDRESSES_MAX: Final = 16
"""Addresses kept of one discovered peer."""

PEERS_ASKED_AT_ONCE_MAX: Final = 64
"""Discovered names asked for details at once."""

PEER_ASK_S: Final = 3.0
GOODBYE_S: Final = 1.0
"""Withdrawing an announcement, and closing discovery, take no longer each."""

INTERFACES_POLL_S: Final = 10.0
"""While discovery runs, the machine's addresses are looked at this often (200 us each)."""

ANNOUNCE_RETRY_S: Final = 30.0
ANNOUNCED_TTL_S: Final = 120
"""A peer that vanished without a goodbye is forgotten after this long."""

# --- the database -------------------------------------------------------------------------------

BUSY_TIMEOUT_S: Final = 10.0
"""Waiting for another process's write."""

TRANSACTION_S_MAX: Final = 30.0
TRANSACTION_WARN_S: Final = 1.0

GROUP_COMMIT_JOBS_MAX: Final = 256
"""Writes that share one commit at most, so that the first of them does not wait for ever."""

READERS_IDLE_MAX: Final = 8
"""Reading connections kept open for the next reader."""

PEER_CHECKPOINTS_MAX: Final = 10_000
"""Checkpoints of peers kept per database; beyond it those unused for longest go."""

DATA_VERSION_POLL_S: Final = 0.25
"""How often a change by another process is looked for."""

PAGE_ROWS: Final = 500
"""Rows per short read transaction when iterating or reading the feed."""

CHECK_PROBLEMS_MAX: Final = 1000
"""Problems that one check of a database lists: with more it needs a copy, not a longer list."""

LOGGED_PER_SESSION_MAX: Final = 100
"""Lines about what was wrong in one peer's messages; the rest is counted, and told at the end."""

LOG_FILE_BYTES: Final = 2**20
LOG_FILES_KEPT_MAX: Final = 3
"""A log file of a MiB, and three older ones: days of an idle peer, and room on any disk."""

BLOB_LEASE_S: Final = 3600.0
"""A blob file younger than this may be in use by another process and is never removed."""

assert UNACKED_BYTES_MAX > 2 * ACK_INTERVAL_BYTES, "a sender would stall before the next ACK"
assert FRAME_BYTES_MAX <= FRAME_BYTES_LONG_MAX <= FRAME_BYTES_RECEIVED_MAX
assert FRAME_BYTES_LONG_MAX < WRITE_BYTES_MAX
assert CHANGES_BYTES_MAX + 256 <= FRAME_BYTES_MAX * 7 // 8, "an offer must fit into one frame"
assert CHANGES_ROWS_MAX <= CHANGES_ROWS_RECEIVED_MAX
assert INBOUND_BYTES_MAX + MESSAGE_BODY_BYTES_MAX < MESSAGES_INCOMPLETE_BYTES_MAX
assert REVS_WANTED_MAX <= REQUESTS_UNANSWERED_READING_MAX, "reading would pause in a usual pull"
assert REQUESTS_UNANSWERED_READING_MAX + READ_BUFFER_BYTES // 13 < REQUESTS_UNANSWERED_MAX, (
    "one read may hold so many requests: 6 bytes of WebSocket, 7 of BLIP"
)
