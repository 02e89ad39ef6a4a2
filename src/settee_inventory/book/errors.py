"""What a person can do wrong, each with a sentence that says what to do."""

from __future__ import annotations

from settee import UsageError

__all__ = ["InputError", "PictureError"]


class InputError(UsageError, ValueError):
    """Something entered can't be stored; the message is a sentence for the person."""


class PictureError(InputError):
    """What was given as a picture can't be read as one, or is too large."""
