"""The witness's log: an intent before each send, a result after, and the sign-off at the end."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from cyan.proof.requestlog import SignOff, intents_name, results_name, signoff_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\", '"': "'"})


def escaped(text: str) -> str:
    """A text that cannot break a row, at most 200 characters long."""
    return text[:200].translate(ESCAPES)


class Log:
    """Rows are kept in memory until `flush`, which costs a fraction of writing each.

    Raises FileExistsError where the folder holds a log already: it is never overwritten.
    """

    def __init__(self, folder: Path, worker: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._worker = worker
        self._intents = (folder / intents_name(worker)).open("x", encoding="utf-8")
        self._results = (folder / results_name(worker)).open("x", encoding="utf-8")
        self._intent_rows: list[str] = []
        self._result_rows: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        self._intents.close()
        self._results.close()

    def intent(self, row: Sequence[object]) -> None:
        """A request is about to be sent: the values of INTENT_COLUMNS."""
        self._intent_rows.append("\t".join(map(str, row)))

    def result(self, row: Sequence[object]) -> None:
        """A request was answered or failed: the values of RESULT_COLUMNS."""
        self._result_rows.append("\t".join(map(str, row)))

    def flush(self) -> None:
        """Write what is kept."""
        self.write(self.take())

    def take(self) -> tuple[list[str], list[str]]:
        """The rows that are kept, intents and results, to be given to `write`."""
        taken = self._intent_rows, self._result_rows
        self._intent_rows, self._result_rows = [], []
        return taken

    def write(self, taken: tuple[list[str], list[str]]) -> None:
        """Write rows, intents first, so that no result stands without its intent.

        Another thread may do it: a disk that is busy must not hold up the schedule.
        """
        for rows, file in zip(taken, (self._intents, self._results), strict=True):
            if rows:
                file.write("\n".join(rows) + "\n")
                file.flush()

    def sign_off(self, counts: SignOff) -> None:
        """Say that every row is written, and what was counted beside them."""
        self.flush()
        path = self._folder / signoff_name(self._worker)
        path.write_text(json.dumps(asdict(counts)) + "\n", encoding="utf-8")
