"""The relay that plants: all bytes are carried as they come, but for requests that get a plant.

HTTP/1.1 without pipelining. h11 knows where a request ends; what it does not understand, and all
that follows an upgrade, is carried without a look.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11

from cyan.proof.relay.connection import Client, End
from cyan.proof.relay.effects import (
    FAULTS,
    Asked,
    Changed,
    Copied,
    Message,
    Replied,
    Then,
    UnfitError,
)
from cyan.proof.relay.plants import Plant, Planter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cyan.proof.relay.effects import Reply

LARGEST = 1 << 16  # bytes of an answer's head


class Planting:
    """What a relay's connections share: what is left to plant, where it is noted, who answered."""

    def __init__(self, notes: Path, planter: Planter | None = None) -> None:
        self.versions: dict[str, str] = {}
        self._notes = notes
        self._planter = planter or Planter()

    def choose(self, request: Message, connection: str) -> Plant | None:
        """The plant for a request; None for most, and for one whose body waits to be asked for."""
        if not self._notes.exists() or request.head["expect"]:
            return None
        return self._planter.choose(request.head.words[0], request.head.path, connection)

    def note(self, plant: Plant, request: Message, why_not: str = "") -> None:
        """This request got the plant or, where a reason is given, none ever will."""
        number = "" if why_not else request.head["x-request-id"]
        line = {"id": number, "plant": plant.name, "at_ns": time.time_ns(), "why_not": why_not}
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def learn(self, answer: Message) -> None:
        """Remember which version a color answers with; the latest comes last."""
        color = answer.head["x-color"]
        if color:
            self.versions.pop(color, None)
            self.versions[color] = answer.head["x-version"]


class Framed:
    """Follows one message to its end: a request or, where `method` is given, the answer to it."""

    def __init__(self, method: str = "") -> None:
        self.raw = b""
        self.ended = False
        self._parser = h11.Connection(h11.CLIENT if method else h11.SERVER)
        if method:
            self._parser.send(h11.Request(method=method, target="/", headers=[("Host", "relay")]))
            self._parser.send(h11.EndOfMessage())

    def take(self, data: bytes) -> bytes:
        """Add to `raw` what belongs to it; what is left. No data: the connection ended.

        Raises h11.RemoteProtocolError, and has all of it in `raw`, where this is no such message.
        """
        self.raw += data
        self._parser.receive_data(data)
        while not self.ended:
            event = self._parser.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                return b""
            self.ended = isinstance(event, h11.EndOfMessage)
        left = self._parser.trailing_data[0]
        self.raw = self.raw.removesuffix(left)
        return left

    def taken(self) -> bytes:
        """What came so far, once."""
        raw, self.raw = self.raw, b""
        return raw


@dataclass
class Trial:
    """A plant at work: its request, and the proxy's answer as far as it came."""

    plant: Plant
    request: Message
    reply: Callable[[Asked], Reply]
    answer: Framed


class Asking(Client):
    """The client's end: it looks at the head of each request before the proxy gets it."""

    def __init__(self, target: tuple[str, int], planting: Planting) -> None:
        super().__init__(0, target)
        self._planting = planting
        self._connection = "new"
        self._request = Framed()
        self._plant: Plant | None = None  # for this request
        self._looked = False  # at this request's head
        self._blind = False  # nothing is looked at any more
        self._trial: Trial | None = None
        self._copying: asyncio.Task[None] | None = None
        self._held = b""  # came while a plant was at work
        self._eof = False  # so did the client's end
        self._heard: bytes | None = None  # of an answer whose head is not whole

    def facing(self) -> End:
        """The end that hears the proxy."""
        return Answering(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request came."""
        self._held += data
        self._go_on()

    def eof_received(self) -> bool:
        """The client sends no more."""
        self.watch()
        self._eof = True
        self._go_on()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self._eof = False
        self.give_up("the client did not wait")
        super().connection_lost(error)

    def answered(self, data: bytes) -> None:
        """Bytes of an answer came or, where there are none, its end."""
        trial = self._trial
        if trial is None:
            self._learn(data)
            self.write(data)
            return
        try:
            left = trial.answer.take(data)
        except h11.RemoteProtocolError as error:
            self.give_up(f"the answer did not end: {error}")
            self._go_on()
            return
        if trial.answer.ended:
            self._end(trial)
            self.write(left)
            self._go_on()

    def give_up(self, why: str) -> None:
        """What is about to be planted cannot be: the client gets what came."""
        trial, self._trial = self._trial, None
        if trial:
            self._planting.note(trial.plant, trial.request, why)
            self.write(trial.answer.raw)

    def _go_on(self) -> None:
        """Look through what the client sent, as far as no plant is at work."""
        while self._held and not (self._trial or self._copying):
            data, self._held = self._held, b""
            self._held = self._looked_through(data)
        if self._eof and not (self._trial or self._copying):
            self._eof = False
            self._look_no_more("the request did not end")
            self._later(lambda proxy: proxy.finish())

    def _looked_through(self, data: bytes) -> bytes:
        """Carry or keep what belongs to this request; what is left."""
        if self._blind:
            self._carry(data)
            return b""
        try:
            left = self._request.take(data)
        except h11.RemoteProtocolError as error:
            self._look_no_more(str(error))
            return b""
        if not self._looked:
            self._look()
        if self._looked and self._plant is None:
            self._carry(self._request.taken())
        if self._request.ended:
            self._next()
        return left

    def _look(self) -> None:
        request = Message.of(self._request.raw)
        if request is None:
            return
        self._looked, self._heard = True, b""
        self._blind = bool(request.head["upgrade"])
        if not self._blind:
            self._plant = self._planting.choose(request, self._connection)
        self._connection = "reused"

    def _look_no_more(self, why: str) -> None:
        self._blind = True
        request, plant, self._plant = Message.of(self._request.raw), self._plant, None
        if plant and request:
            self._planting.note(plant, request, why)
        self._carry(self._request.taken())

    def _next(self) -> None:
        """A request is whole: plant, if it was chosen; another may come."""
        raw, plant = self._request.taken(), self._plant
        self._request, self._plant, self._looked = Framed(), None, False
        request = Message.of(raw)
        if request is None or plant is None:
            self._carry(raw)
            return
        try:
            self._begin(plant, request)
        except UnfitError as error:
            self._planting.note(plant, request, str(error))
            self._carry(raw)

    def _begin(self, plant: Plant, request: Message) -> None:
        match FAULTS[plant.how]:
            case Replied(reply, asks=True):
                self._trial = Trial(plant, request, reply, Framed(request.head.words[0]))
                self._carry(request.raw)
            case Replied(reply):
                given = reply(Asked(request, self._planting.versions))
                self._planting.note(plant, request)
                self._reply(given)
            case Changed(change):
                changed = change(request, plant.value)
                self._planting.note(plant, request)
                self._carry(changed.raw)
            case Copied():
                self._copying = asyncio.get_running_loop().create_task(self._copy(plant, request))

    def _end(self, trial: Trial) -> None:
        """The answer is whole: reply."""
        self._trial = None
        answer = Message.of(trial.answer.raw)
        assert answer is not None  # noqa: S101 - for the type checker: it has an end
        self._planting.learn(answer)
        try:
            given = trial.reply(Asked(trial.request, self._planting.versions, answer))
        except UnfitError as error:
            self._planting.note(trial.plant, trial.request, str(error))
            self.write(answer.raw)
        else:
            self._planting.note(trial.plant, trial.request)
            self._reply(given)

    def _reply(self, given: Reply) -> None:
        self.write(given.data)
        if given.then is Then.GO_ON:
            return
        if given.then is Then.RESET:
            self.reset()
        self.close()
        self._later(lambda proxy: proxy.close())

    async def _copy(self, plant: Plant, request: Message) -> None:
        """Ask on a connection of its own, hear that answer to its end, then go on."""
        why_not = ""
        try:
            reader, writer = await asyncio.open_connection(*self.target)
            writer.write(request.with_head(request.head.having(Connection="close")).raw)
            await reader.read()
            writer.close()
        except OSError as error:
            why_not = repr(error)
        self._copying = None
        self._planting.note(plant, request, why_not)
        self._carry(request.raw)
        self._go_on()

    def _carry(self, data: bytes) -> None:
        """Send to the proxy."""
        if data:
            super().data_received(data)

    def _learn(self, data: bytes) -> None:
        """Hear who answers, from the head of an answer."""
        if self._heard is None:
            return
        self._heard += data
        answer = Message.of(self._heard)
        if answer:
            self._planting.learn(answer)
        if answer or len(self._heard) > LARGEST:
            self._heard = None


class Answering(End):
    """The proxy's end: the client's end hears first what it says."""

    def __init__(self, asking: Asking) -> None:
        super().__init__(0)
        self._asking = asking

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer came."""
        self._asking.answered(data)

    def eof_received(self) -> bool:
        """The proxy sends no more."""
        self._asking.answered(b"")
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """The proxy is gone."""
        self._asking.give_up("the proxy went before the answer")
        super().connection_lost(error)
