"""The replication protocol, pure: frames, answers and time in; frames, effects and events out.

Room: pure protocol. One `Session` per connection, the same class for both roles. Read in this
order: `session` (life and death of a connection), `opening` and `passive` (how each role begins),
`pusher`, `puller`, `blobs`, `checkpoint`.
Touches: settee.blip, settee.doc, settee.errors, settee.ids, settee.limits, settee.logs.
Never touches: sockets, files, asyncio, the wall clock, randomness.
"""
