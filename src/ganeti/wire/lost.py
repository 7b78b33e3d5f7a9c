"""The one error that only the wire and its client know: the connection broke, so asking again may help."""

from __future__ import annotations

from ganeti.base.errors import Unavailable


class ConnectionLost(Unavailable):
    """No answer came although time is left: refused, reset, or ended in the middle. The deed may be done or not."""
