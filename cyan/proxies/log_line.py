"""A line of the proxy's access log: who answered which request. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyan.names import Color

if TYPE_CHECKING:
    from collections.abc import Mapping

UNANSWERED = " -"
"""How `user_id` ends in nginx's log where no color answered: it took no time."""


def headers_of(told: Mapping[str, Any]) -> dict[str, str]:
    """The headers of an answer that a line tells of; nginx's tells also of those that are ""."""
    found = told.get("resp_headers") or {}
    return {name: values[0] for name, values in found.items() if values and values[0]}


def identified(told: Mapping[str, Any]) -> tuple[str, str]:
    """The color that the host's proxy knows to have answered, and the request's id; "" for none.

    `told` is a line of its log; they are the first words of its `user_id`: cyan.proxies.front.
    """
    color, _, rest = str(told.get("user_id") or "").partition(" ")
    return (color if color in tuple(Color) else ""), rest.partition(" ")[0]


def color_of(told: Mapping[str, Any]) -> str:
    """The color that answered, as it said itself, or as the proxy knows; "" for the proxy's own."""
    return headers_of(told).get("X-Color") or identified(told)[0]


def id_of(told: Mapping[str, Any]) -> str:
    """The id with which a client sent its request; "" for none."""
    sent = (told.get("request") or {}).get("headers") or {}
    return str((sent.get("X-Request-Id") or [""])[0])
