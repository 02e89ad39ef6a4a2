"""The network: WebSocket links between peers, dialled or accepted, over TCP and TLS.

`frames` and `http1` are pure; `link`, `acceptor`, `dialer`, `tls`, `wire` and `discovery` are the
only users of asyncio's transports, of `ssl`, `socket` and `zeroconf`. Above this room nobody sees a
transport: a `Link` takes and gives lists of BLIP frames.
"""
