"""The recorded exchanges once more, one end of them played by a script, the other by settee."""
