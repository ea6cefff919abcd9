"""What single lines of the proxy's and of the application's log say of requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cyan.proof.hexids import HEX_DIGITS, Ids, numbers_of, parse_hex

if TYPE_CHECKING:
    from cyan.proof.jsonlines import Block

TEXTS = pa.list_(pa.string())
PROXY_SCHEMA = pa.schema(
    {
        "request": pa.struct({"headers": pa.struct({"X-Request-Id": TEXTS})}),
        "status": pa.int16(),
    }
)
APPLICATION_SCHEMA = pa.schema({"id": pa.string(), "event": pa.string(), "service": pa.string()})
"""Only what a check asks for is read: each further field costs seconds in ten million lines."""

EVENTS = ("start", "end")
"""What counts of the application's lines; a request that was cut has a start and no end."""

REQUEST, HEADERS, HEADER = b'"request":', b'"headers":', b'"X-Request-Id":["'
STATUS, ANSWER = b'"status":', b',"resp_headers":'
END = b'"]}}'  # of resp_headers and of the line
ZERO, NINE = np.uint8(ord("0")), 9
MOST_BRACES = 5  # in a line of the proxy: of all of it, request, headers, tls, resp_headers
ID, EVENT = b'{"id":"', b'","event":"'
UNTOLD = STATUS + b"0}"  # the status of a request that has only started


@dataclass(frozen=True)
class Lines:
    """Some lines' ids, and what each tells of its request; how many had no id of the client's."""

    ids: Ids
    told: npt.NDArray[Any]
    strangers: int = 0

    def and_those(self, ids: pa.ChunkedArray, told: pa.ChunkedArray) -> Lines:
        """These lines, and those that a parser has read."""
        numbers, valid = parse_hex(ids.combine_chunks())
        theirs = told.to_numpy()[valid].astype(self.told.dtype)
        return Lines(
            np.concatenate((self.ids, numbers[valid])),
            np.concatenate((self.told, theirs)),
            self.strangers + int((~valid).sum()),
        )


def proxy_lines(block: Block) -> Lines:
    """Lines of Caddy: {.., "request":{.., "headers":{}}, .., "status":200,"resp_headers":{}}.

    One that was torn, with another behind it, has too many braces or the wrong names before them.
    """
    braces, closed = block.braces(b"{"), block.braces(b"}")
    answer = braces.at(-1)
    header = block.marks(HEADER, until=np.minimum(braces.at(3), closed.at(0)))
    ids, hexadecimal = numbers_of(block.texts(header.at(0) + len(HEADER), HEX_DIGITS))
    digits = block.texts(answer - len(ANSWER) - 3, 3).view(np.uint8).reshape(-1, 3) - ZERO
    plain = (
        block.clean
        & (braces.at(0) == block.starts)
        & block.spelled(braces.at(1) - len(REQUEST), REQUEST)
        & block.spelled(braces.at(2) - len(HEADERS), HEADERS)
        & (braces.count <= MOST_BRACES)
        & (braces.count == closed.count)
        & (header.count == 1)
        & (header.at(0) > braces.at(2))
        & hexadecimal
        & block.spelled(header.at(0) + len(HEADER) + HEX_DIGITS, b'"]')
        & block.spelled(answer - len(ANSWER) - 3 - len(STATUS), STATUS)
        & (digits <= NINE).all(axis=1)
        & (digits[:, 0] > 0)
        & block.spelled(answer - len(ANSWER), ANSWER)
        & block.spelled(block.ends - len(END), END)
        & ~block.spelled(block.ends - len(END) - 1, b"\\")
    )
    lines = Lines(ids[plain], digits[plain] @ np.array([100, 10, 1], np.int16))
    if plain.all():
        return lines
    others = block.parsed(~plain, PROXY_SCHEMA)
    others = others.filter(pc.is_valid(others.column("status")))
    return lines.and_those(_request_ids(others), others.column("status"))


def _request_ids(table: pa.Table) -> pa.ChunkedArray:
    """The first X-Request-Id of each request, null where there is none."""
    texts = pc.struct_field(table.column("request"), ["headers", "X-Request-Id"])
    some = pc.fill_null(pc.greater(pc.list_value_length(texts), 0), pa.scalar(value=False))
    return pc.list_element(pc.if_else(some, texts, None), 0)


def application_lines(block: Block, public: str) -> Lines:
    """Lines of the demo: {"id":"..","event":"..", .., "service":"..", .., "status":200}."""
    braces, service = block.braces(b"{"), block.marks(b'"service":"')
    last = block.ends - len(b"200}")
    ended = block.spelled(last - len(STATUS), STATUS) & block.spelled(block.ends - 1, b"}")
    started = block.spelled(block.ends - len(UNTOLD), UNTOLD)
    event = block.starts + len(ID) + HEX_DIGITS
    ids, hexadecimal = numbers_of(block.texts(block.starts + len(ID), HEX_DIGITS))
    end = block.spelled(event, EVENT + b'end"')
    plain = (
        block.clean
        & (braces.count == 1)
        & block.spelled(block.starts, ID)
        & hexadecimal
        & (end | block.spelled(event, EVENT + b'start"'))
        & (service.count == 1)
        & (started | ended)
    )
    ours = plain & block.spelled(service.at(0), f'"service":"{public}"'.encode())
    lines = Lines(ids[ours], end[ours])
    if plain.all():
        return lines
    others = block.parsed(~plain, APPLICATION_SCHEMA)
    told = pc.is_in(others.column("event"), value_set=pa.array(EVENTS))
    others = others.filter(pc.and_(pc.equal(others.column("service"), public), told))
    return lines.and_those(others.column("id"), pc.equal(others.column("event"), "end"))
