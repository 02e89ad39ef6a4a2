"""The web app: one process per device, its pages in a browser, settee in the same process.

- `process`: the command line, and the server
- `gate`: who may ask this server anything (plain ASGI): Host, Origin, token, bounds
- `desk`: what the process knows: device, user, inventory, network, and the pages that are open
- `actions`: what the pages can ask for, each checked
- `view`: what the pages show, as plain values (pure)
- `page`: the NiceGUI page with its one Vue element, and the few plain routes
- `accounts`, `settings`: users with their roles; what is set for this device
- `diagnostics`: the file for whoever helps; no secrets in it
- `piped`: the same app, led by another program through its standard input (the table)

The JavaScript and the styles lie in `assets`.
"""

from __future__ import annotations
