"""The demo: three devices in one terminal keep one produce list together.

- `scene`: what happens, in which order, and the check at the end
- `crew`: the three processes, their messages, and what is known of each
- `device`: one device; a process with a database, a listener and replicators
- `screen`: the live table, or plain lines where there is no terminal
"""

from __future__ import annotations

from settee_inventory.demo.scene import run as run

__all__ = ["run"]
