"""When a fault is injected, and that it was not."""

from __future__ import annotations

Moment = tuple[str, str]
"""A step of the deployer and the journal's word about it: ("drain", "step") is as it begins."""


class NotInjectedError(Exception):
    """The fault did not happen, so that nothing was tried."""
