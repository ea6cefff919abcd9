"""A run that never happened: clean evidence of any size, on which tests plant what they want."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cyan.journal import entries as journal
from cyan.proof import collected, history
from cyan.proof import evidence as joined
from cyan.proof.client_log import ClientLog
from cyan.proof.history import SECOND, Container, Drain, History, Observation, Performed, Switch
from cyan.proof.requestlog import INTENT_COLUMNS, RESULT_COLUMNS, Failure, SignOff
from cyan.proof.scenario import Act, broken, deploy, rollback
from cyan.proof.witnesses import Witnesses, hashes

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = 1_800_000_000 * SECOND
MS = 1_000_000
OFFSET = 5 * SECOND  # where the monotonic clock stood when the load began
RATE = 400.0
COMPACT = (",", ":")  # as Caddy and the demo separate what they log
LOGS = tuple(f"app-blue-platform-platform{number}.jsonl" for number in range(4))
JOURNEYS = joined.JOURNEYS
PATHS = {
    "page": "/", "items": "/items", "order": "/orders", "login": "/login", "me": "/me",
    "slow": "/slow", "download": "/download", "ask": "/ask", "events": "/events",
    "socket": "/ws", "fresh": "/items",
}  # fmt: skip
SHARES = np.array([25, 25, 14, 2, 12, 2, 1, 6, 1, 1, 11]) / 100


@dataclass(frozen=True)
class Run:
    """The evidence of a run, as frames. `evidence` joins it; `write` lays it out as raw files."""

    requests: pd.DataFrame
    history: History
    signoffs: tuple[SignOff, ...]
    witnesses: Witnesses
    client: dict[str, Any] = field(default_factory=dict)

    def evidence(self, **bounds: Any) -> joined.Evidence:
        workers = tuple(sorted(int(w) for w in self.requests["worker"].unique()))
        log = ClientLog(self.requests, self.signoffs, workers, **self.client)
        return joined.build(log, self.witnesses, self.history, joined.Bounds(**bounds))

    def planted(self, row: int, **values: Any) -> Run:
        """The same run with `values` in one row of the client's log, and as others know them.

        Of a failed request the others know nothing new.
        """
        frame = self.requests.copy()
        for name, value in values.items():
            column = frame[name]
            if isinstance(column.dtype, pd.CategoricalDtype) and value not in column.cat.categories:
                frame[name] = column.cat.add_categories([value])
            frame.loc[row, name] = value
        run = replace(self, requests=frame, signoffs=counted(frame)).told_by_others(row, values)
        return run.answered_by_the_proxy(row, values["status"]) if "status" in values else run

    def told_by_others(self, row: int, values: dict[str, Any]) -> Run:
        """The same run in which proxy and application know what the client's row now holds."""
        kept, frame = self.witnesses, self.requests
        number = int(frame["id"][row])
        known = {name: values[name] for name in ("color", "version") if values.get(name)}
        proxy, lines = dict(known), dict(known)
        if {"sent_ns", "end_ns"} & set(values):
            begun, end = (int(frame[name][row]) for name in ("sent_ns", "end_ns"))
            proxy |= {"at_ns": end, "duration_ns": max(end - begun, 0)}
            lines |= {"at_ns": begun}
        proxy |= {name: values[name] for name in ("method",) if name in values}
        if "received_bytes" in values:
            proxy["size"] = values["received_bytes"]
        if "path" in values:
            proxy["path"] = hashes([values["path"]])[0]
        return replace(
            self,
            witnesses=replace(
                kept,
                proxy=_changed(kept.proxy, number, proxy),
                application=_changed(kept.application, number, lines),
            ),
        )

    def answered_by_the_proxy(self, row: int, status: int) -> Run:
        """The same run in which the proxy logged another status of one request."""
        proxy = self.witnesses.proxy
        if proxy is None:
            return self
        line = proxy["id"] == self.requests["id"][row]
        told = proxy.assign(status=proxy["status"].where(~line, status).astype(np.int16))
        return replace(self, witnesses=replace(self.witnesses, proxy=told))

    def only(self, kept: Any) -> Run:
        """The run that sent only the `kept` requests, as all witnesses then know."""
        left = self.requests[np.asarray(kept)].reset_index(drop=True)
        first = int(self.requests["id"].min())
        order = np.argsort(left["id"].to_numpy(), kind="stable")
        numbers = np.empty(len(left), np.uint64)
        numbers[order] = first + np.arange(len(left), dtype=np.uint64)
        names = dict(zip(left["id"], numbers, strict=True))
        told = {
            name: frame[frame["id"].isin(names)]
            for name in ("proxy", "application", "orders", "jobs")
            if (frame := getattr(self.witnesses, name)) is not None
        }
        told = {
            name: frame.assign(id=frame["id"].map(names).astype(np.uint64))
            for name, frame in told.items()
        }
        frame = left.assign(id=numbers)
        witnesses = replace(self.witnesses, **told)
        return replace(self, requests=frame, signoffs=counted(frame), witnesses=witnesses)

    def without(self, row: int, *names: str) -> Run:
        """The same run in which the named witness frames lack the lines of one request."""
        kept = {
            name: frame[frame["id"] != self.requests["id"][row]]
            for name in names
            if (frame := getattr(self.witnesses, name)) is not None
        }
        return replace(self, witnesses=replace(self.witnesses, **kept))

    def doubled(self, row: int, name: str) -> Run:
        """The same run in which a witness frame holds the lines of one request twice."""
        frame = getattr(self.witnesses, name)
        again = frame[frame["id"] == self.requests["id"][row]]
        both = pd.concat([frame, again], ignore_index=True)
        return replace(self, witnesses=replace(self.witnesses, **{name: both}))


def _changed(
    frame: pd.DataFrame | None, number: int, values: dict[str, Any]
) -> pd.DataFrame | None:
    """A witness's frame with `values` in the lines of one request."""
    if frame is None or not values:
        return frame
    frame, lines = frame.copy(), frame["id"] == number
    for name, value in values.items():
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype) and value not in column.cat.categories:
            frame[name] = column.cat.add_categories([value])
        frame.loc[lines, name] = value
    return frame


def counted(frame: pd.DataFrame, rate: float = RATE) -> tuple[SignOff, ...]:
    """Sign-offs that agree with the rows."""
    signoffs = []
    for worker, rows in frame.groupby("worker"):
        failed = int((rows["answered"] & (rows["failure"] != "")).sum())
        n = len(rows)
        signoffs.append(SignOff(int(str(worker)), n, n, 0, n - failed, failed, 0, OFFSET, rate))
    return tuple(signoffs)


def acts() -> tuple[Act, ...]:
    """Two deploys, a rollback and a deploy that must fail; blue v1 is live before."""
    return (
        deploy("v2"),
        deploy("v3"),
        rollback("v2", name="rollback while warm"),
        broken("v1", "never-healthy", name="never healthy"),
    )


LIVE = (("blue", "v1"), ("green", "v2"), ("blue", "v3"), ("green", "v2"), ("green", "v2"))


def story(seconds: float) -> History:
    """The acts spread over `seconds`, each switch at 60 % of its act."""
    slot = seconds / (len(acts()) + 1)
    performed, switches, drains = [], [], []
    for number, act in enumerate(acts()):
        begun = BEGIN + int((number + 0.5) * slot * SECOND)
        ended = begun + int(0.5 * slot * SECOND)
        before, after = (observation(*LIVE[number + step], number + step) for step in (0, 1))
        if act.fails:
            after = before
        performed.append(Performed(act, begun, ended, 1 if act.fails else 0, before, after))
        if not act.fails:
            at = begun + int(0.3 * slot * SECOND)
            switches.append(Switch(at - MS, at, before.live, after.live, after.version))
            drains.append(drain(before.live, at))
    end = BEGIN + int(seconds * SECOND)
    return History(
        tuple(performed),
        planned=tuple(act.name for act in acts()),
        switches=tuple(switches),
        drains=tuple(drains),
        load_begun_ns=BEGIN,
        load_ended_ns=end,
    )


def observation(color: str, version: str, number: int) -> Observation:
    """Three containers of the live color."""
    names = ("platform", "rag", "crawler")
    containers = (Container(f"{name}{number}", color, name, version, "now") for name in names)
    return Observation(color, tuple(containers))


def drain(color: str, at: int, cut: int = 0) -> Drain:
    """In-flight requests of the old color falling to zero within a second."""
    readings = tuple((at + (300 + 100 * i) * MS, n) for i, n in enumerate((7, 5, 4, 2, 1, 0, 0)))
    return Drain(color, at + MS, at + 1000 * MS, readings, cut)


def run(n: int = 4000, rate: float = 400, seed: int = 1, *, mixed: bool = True) -> Run:
    """Clean evidence of `n` requests at `rate` a second; ids rise where they are not `mixed`."""
    random = np.random.default_rng(seed)
    told = story(n / rate)
    requests = client(n, rate, told, random)
    if not mixed:
        requests["id"] = np.sort(requests["id"].to_numpy())
    return Run(requests, told, counted(requests, rate), witnesses(requests))


def client(n: int, rate: float, told: History, random: np.random.Generator) -> pd.DataFrame:
    """The client's rows; each answered by the color that was live when it was sent."""
    due = BEGIN + np.rint(np.arange(n) * SECOND / rate).astype(np.int64)
    sent = due + random.exponential(0.3 * MS, n).astype(np.int64)
    sent.sort()
    journey = random.choice(len(JOURNEYS), n, p=SHARES)
    took = (random.lognormal(1.0, 0.5, n) * MS).astype(np.int64)
    took = np.where(np.isin(journey, (5, 8, 9)), took + 30 * MS, took)
    epoch = np.searchsorted([switch.done_ns for switch in told.switches], sent + MS // 5)
    post = np.isin(journey, (2, 3)) | ((journey == 10) & (random.random(n) < 0.3))
    paths = np.where((journey == 10) & post, "/orders", np.array(list(PATHS.values()))[journey])
    order = post & (paths == "/orders")
    size = random.integers(200, 4000, n)
    streams = np.isin(journey, (8, 9))  # each has a user, and so a connection, of its own
    user = np.where(streams, 60 + np.arange(n), random.integers(0, 60, n))
    new = (journey == 10) | streams | (random.random(n) < 0.02)
    return pd.DataFrame(
        {
            "id": random.permutation(n).astype(np.uint64) + np.uint64(seed_base(random)),
            "user": user.astype(np.int32),
            "journey": categories(journey, list(JOURNEYS)),
            "method": categories(post, ["GET", "POST"]),
            "path": pd.Categorical(paths),
            "due_ns": due,
            "sent_ns": sent,
            "worker": np.zeros(n, np.int16),
            "first_ns": sent + took * 9 // 10,
            "end_ns": sent + took,
            "status": np.where(order, 201, np.where(journey == 9, 101, 200)).astype(np.int16),
            "expected_bytes": size,
            "received_bytes": size,
            "digest": np.ones(n, np.int8),
            "connection": categories(new, ["reused", "new"]),
            "connection_age_ns": np.where(new, 0, 2 * SECOND),
            "color": pd.Categorical(np.array([c for c, _ in LIVE])[epoch], ["", "blue", "green"]),
            "version": pd.Categorical(
                np.array([v for _, v in LIVE])[epoch], ["", "v1", "v2", "v3"]
            ),
            "framing": categories(np.zeros(n), ["length", "chunked", "close", ""]),
            "failure": categories(np.zeros(n), list(Failure)),
            "error": categories(np.zeros(n), [""]),
            "answered": np.ones(n, bool),
        }
    )


def categories(codes: Any, names: list[str]) -> pd.Categorical[Any]:
    """A categorical of `names` by their numbers."""
    return pd.Categorical(
        np.array([str(name) for name in names])[codes.astype(int)],
        categories=[str(n) for n in names],
    )


def seed_base(random: np.random.Generator) -> int:
    """Where ids begin: they use all 64 bits; the lower half counts from one."""
    return int(random.integers(1 << 30, 1 << 31)) << 32 | 1


def witnesses(requests: pd.DataFrame) -> Witnesses:
    """The proxy's, the application's and the database's evidence of the same requests."""
    looks = requests[["id", "status", "color", "version"]]
    proxy = looks.assign(
        status=looks["status"].where(looks["status"] != 101, 0).astype(np.int16),  # as Caddy 2.6
        at_ns=requests["end_ns"],
        duration_ns=requests["end_ns"] - requests["sent_ns"],
        size=requests["received_bytes"],
        method=requests["method"],
        path=np.array(hashes(list(requests["path"].cat.categories)), np.uint64)[
            requests["path"].cat.codes.to_numpy()
        ],
    )
    logged = requests["journey"] != "socket"  # the client ends it
    start = looks.assign(end=False, at_ns=requests["sent_ns"])
    end = looks[logged].assign(end=True, at_ns=requests["end_ns"])
    ids = requests["id"][requests["path"] == "/orders"].reset_index(drop=True)
    numbers = np.arange(len(ids))
    return Witnesses(
        proxy=proxy,
        application=pd.concat([start, end], ignore_index=True),
        orders=pd.DataFrame({"id": ids}),
        jobs=pd.DataFrame({"job": numbers, "id": ids, "done": True}),
        job_runs=pd.DataFrame({"job": numbers}),
        logs=LOGS,
    )


def write(made: Run, folder: Path, *, witnesses: bool = True) -> None:
    """Lay the run out as the raw files that the swarm, the proxy, the site and cyan leave.

    Without `witnesses` the logs of proxy and application are left out.
    """
    (folder / "client").mkdir(parents=True)
    (folder / "application").mkdir()
    _write_client(made, folder / "client")
    if witnesses:
        _write_proxy(made, folder / "proxy.jsonl")
        for name in LOGS:
            (folder / "application" / name).touch()
        _write_application(made, folder / "application" / LOGS[0])
    _write_ledger(made, folder)
    history.save(made.history, folder / "acts.json")
    entries = "\n".join(journal.dump(entry) for entry in _entries(made.history))
    (folder / "journal.jsonl").write_text(entries + "\n")
    collected.write(folder)


def _write_client(made: Run, folder: Path) -> None:
    frame = made.requests.assign(wall_ns=made.requests["sent_ns"])
    for name in ("due_ns", "sent_ns", "first_ns", "end_ns"):
        frame[name] = (frame[name] - BEGIN + OFFSET).where(frame[name] != 0, 0)
    for worker, rows in frame.groupby("worker"):
        _tsv(rows[list(INTENT_COLUMNS)], folder / f"intents-{worker}.tsv")
        answered = rows[rows["answered"]].sort_values("end_ns")
        _tsv(answered[list(RESULT_COLUMNS)], folder / f"results-{worker}.tsv")
    for signoff in made.signoffs:
        (folder / f"signoff-{signoff.worker}.json").write_text(json.dumps(asdict(signoff)))


def _tsv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, sep="\t", header=False, index=False)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples()


def _write_proxy(made: Run, path: Path) -> None:
    assert made.witnesses.proxy is not None
    paths = dict(zip(made.requests["id"], made.requests["path"], strict=True))
    lines = [
        json.dumps(
            {
                "level": "info",
                "ts": row.at_ns / SECOND,
                "logger": "http.log.access.log0",
                "request": {
                    "method": row.method,
                    "uri": paths.get(row.id, ""),
                    "headers": {"X-Request-Id": [f"{row.id:016x}"]},
                },
                "duration": row.duration_ns / SECOND,
                "size": row.size,
                "status": row.status,
                "resp_headers": {"X-Color": [row.color], "X-Version": [row.version]},
            },
            separators=COMPACT,
        )
        for row in _rows(made.witnesses.proxy)
    ]
    stranger = json.dumps({"ts": 1.0, "request": {"headers": {}}, "status": 200, "duration": 0.1})
    path.write_text("\n".join([*lines, stranger]) + "\n")


def _write_application(made: Run, path: Path) -> None:
    assert made.witnesses.application is not None
    lines = [
        json.dumps(
            {
                "id": f"{row.id:016x}",
                "event": "end" if row.end else "start",
                "at_ns": row.at_ns,
                "service": "platform",
                "color": row.color,
                "version": row.version,
                "status": row.status,
            },
            separators=COMPACT,
        )
        for row in _rows(made.witnesses.application)
    ]
    cut = json.dumps({"id": "0" * 16, "event": "cut", "at_ns": 1, "service": "platform"})
    inner = json.dumps({"id": "0" * 16, "event": "start", "at_ns": 1, "service": "rag"})
    path.write_text("\n".join([*lines, cut, inner]) + "\n")


def _write_ledger(made: Run, folder: Path) -> None:
    kept = made.witnesses
    assert kept.orders is not None
    assert kept.jobs is not None
    assert kept.job_runs is not None
    hexed = [f"{number:016x}" for number in kept.orders["id"]]
    pd.DataFrame({"request_id": hexed}).to_csv(folder / "orders.csv", index=False)
    jobs = pd.DataFrame(
        {
            "id": kept.jobs["job"],
            "state": np.where(kept.jobs["done"], "done", "queued"),
            "payload": [f"{number:016x}" for number in kept.jobs["id"]],
        }
    )
    jobs.to_csv(folder / "jobs.csv", index=False)
    runs = kept.job_runs.rename(columns={"job": "job_id"})
    runs.to_csv(folder / "job_runs.csv", index=False)


def _entries(told: History) -> list[journal.Entry]:
    """The journal of the story: a switch and a drain each."""
    entries = []
    for number, (switch, drained) in enumerate(zip(told.switches, told.drains, strict=True)):
        who: dict[str, Any] = {"run": f"r{number}", "what": "deploy", "version": switch.version}
        moved = {"from": switch.source, "to": switch.target, "renamed_at": switch.done_ns / SECOND}
        readings = [[at / SECOND, n] for at, n in drained.in_flight]
        gone = {"in_flight": readings, "cut": drained.cut}
        step, done = journal.Event.STEP, journal.Event.DONE
        at = switch.begun_ns / SECOND, switch.done_ns / SECOND, drained.done_ns / SECOND
        entries += [
            journal.Entry(at[0], event=step, step="switch", color=switch.target, **who),
            journal.Entry(
                at[1], event=done, step="switch", color=switch.target, detail=moved, **who
            ),
            journal.Entry(at[1], event=step, step="drain", color=drained.color, **who),
            journal.Entry(at[2], event=done, step="drain", color=drained.color, detail=gone, **who),
        ]
    return entries
