"""`inv bench`: each way deploys, goes back and fails once under the same load; one table of all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cyan.bench import launch, one_node, page, ways
from cyan.bench.as_it_is import FOLDER, adopted
from cyan.bench.as_it_is import NAME as AS_IT_IS
from cyan.bench.certificate import CERTIFICATE, NAME
from cyan.bench.measure import Done, Row, row
from cyan.configured import with_nodes
from cyan.errors import CyanError, ProofError, UsageError
from cyan.lab import lab
from cyan.lab.nodes import docker
from cyan.proof.client_log import read_client
from cyan.proof.host_under_test import HostUnderTest
from cyan.proof.load import Load, Swarm
from cyan.proof.relay.process import RelayOptions, led

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console

    from cyan.bench.options import Options
    from cyan.bench.ways import Way
    from cyan.sections import HostSettings
    from cyan.settings import Settings

HANGS = 300  # seconds after which a command is ended
VERSIONS = ("v1", "v2")
BROKEN = "v3"
BETWEEN = 3.0  # seconds
IN_FLIGHT = 20_000  # requests at once at which the swarm gives up: a way may let users wait


def bench(settings: Settings, project: Path, options: Options, console: Console) -> Path:
    """Compare; the folder with the table and all that it is made from. Raises CyanError."""
    folder = project / "reports" / f"bench-{time.strftime('%Y%m%d-%H%M%S')}"
    rows: list[Row] = []
    for way in options.ways:
        console.print(f"[bold]{way.name}[/bold]: {way.says}")
        try:
            rows.append(_way(settings, project, way, folder / way.name.replace(" ", "-"), options))
            console.print(f"  {page.told(rows[-1])}", markup=False)
        except CyanError as error:
            console.print(f"  [red]not measured[/red]: {error.what}")
            (folder / "failed.txt").open("a").write(f"{way.name}: {error}\n")
        page.write(folder, rows, options, ways.BY_NAME)  # what is there, should the next one hang
    if not rows:
        raise ProofError("no way could be measured", where=str(folder))
    console.print(page.table(rows), markup=False)
    console.print(f"[dim]{folder / 'bench.html'}[/dim]")
    return folder


def _way(settings: Settings, project: Path, way: Way, folder: Path, options: Options) -> Row:
    folder.mkdir(parents=True)
    if options.http2 and (way.given or not (way.proxy or way.lab)):
        raise ProofError("it has no certificate: its users come to ports that speak no TLS")
    with _ready(settings, project, way, folder) as ready:
        run = ready.run
        first = run("deploy", VERSIONS[0], "")
        if first.code != 0:
            raise ProofError(f"its first deploy ended with {first.code}", where=str(folder))
        if way.proxy and not way.swarm:
            _compose(folder, "proxy", "up", "-d", "--wait")
            time.sleep(2)
        loaded = _loaded(settings, ready.sites, folder, options)
        with loaded as swarms, _memory(ready) as memory:
            for swarm in swarms.values():
                swarm.wait_ready()
            begun = time.time_ns()
            time.sleep(options.steady)
            steady = begun, time.time_ns()
            done, left = _acts(ready, options)
            time.sleep(2)
            for swarm in swarms.values():
                swarm.finish()
        requests = _together(swarms)
        (folder / "done.json").write_text(json.dumps([vars(each) for each in done], indent=1))
        return row(
            way.name, requests, done, steady=steady, app_memory=max(memory, default=0), left=left
        )


@contextmanager
def _loaded(
    settings: Settings, sites: Sequence[Site], folder: Path, options: Options
) -> Iterator[dict[Path, Swarm]]:
    """A part of the load for each site, while the block runs: the swarms by their folders."""
    parts = len(sites)
    part = replace(options, rate=options.rate / parts, sessions=options.sessions // parts)
    relay = RelayOptions(options.rtt) if options.rtt else None
    with ExitStack() as stack:
        swarms = {}
        for number, site in enumerate(sites, 1):
            load = stack.enter_context(led(_load(settings, site, part), relay))
            client = folder / f"client{number if parts > 1 else ''}"
            swarms[client] = stack.enter_context(Swarm(load, client))
        yield swarms


def _together(clients: Iterable[Path]) -> pd.DataFrame:
    """What all clients saw, of one host each."""
    logs = [read_client(each).requests for each in clients]
    made = pd.concat(logs, ignore_index=True)
    texts = [name for name, dtype in logs[0].dtypes.items() if dtype == "category"]
    return made.astype(dict.fromkeys(texts, "category"))  # which it forgets where they differ


def _load(settings: Settings, site: Site, options: Options) -> Load:
    load = Load(
        url=f"http://{site.address}:{site.port}",
        locustfile=settings.verify.locustfile,
        rate=options.rate,
        sessions=options.sessions,
        seed=options.seed,
        extra=("--fresh-connections",) if options.fresh else (),
        in_flight=IN_FLIGHT,
    )
    if not options.http2:
        return load
    return replace(
        load,
        secure=f"https://{NAME}:{site.tls_port}",
        through=f"https://{site.address}:{site.tls_port}",
        authority=site.authority(),
    )


def _acts(ready: Ready, options: Options) -> tuple[list[Done], int]:
    """Deploy, go back, and deploy what never gets healthy; and how many containers that left."""
    done: list[Done] = []
    run, old = ready.run, VERSIONS[0]
    for version, _ in zip(cycle(reversed(VERSIONS)), range(options.rotations), strict=False):
        done.append(run("deploy", version, old))
        old = version
        time.sleep(BETWEEN)
    back = next(each for each in VERSIONS if each != old)
    done.append(run("rollback", back, old))
    time.sleep(BETWEEN)
    before = _running(ready, BROKEN)
    done.append(run("fails", BROKEN, back))
    time.sleep(BETWEEN)  # Swarm removes containers after it has said so
    return done, len(_running(ready, BROKEN) - before)


@dataclass(frozen=True)
class Site:
    """Where users come to: plain HTTP, and HTTPS for localhost; whom these trust there, PEM."""

    address: str
    port: int
    tls_port: int
    authority: Callable[[], str]


class Run:
    """Runs a way's scripts in its folder; what each did, and what it took."""

    def __init__(self, way: Way, folder: Path, project: Path) -> None:
        self._way = way
        self._folder = folder
        self._where = project if way.lab else folder / FOLDER if way.engine else folder

    def __call__(self, kind: str, version: str, old: str) -> Done:
        """Run one of them. It is ended after `HANGS` seconds, with the code 124."""
        way = self._way
        words = {
            "deploy": way.deploy,
            "rollback": way.takes_back,
            "fails": way.failing,
            "cleanup": "$INV cleanup",
            "proxy": "$INV proxy.upgrade",
        }[kind]
        also = "" if way.proxy or way.ours else "-f ports.yml"
        inv = f"{sys.executable} -m cyan"
        given = {"VERSION": version, "OLD": old, "ALSO": also, "INV": inv, **dict(way.given)}
        text = words if way.ours else ways.script(words)
        took = self._folder.absolute() / "took.json"
        launched = [sys.executable, "-I", "-S", launch.__file__, str(took)]
        begun = time.time_ns()
        with (self._folder / "commands.log").open("a") as log:
            log.write(f"--- {kind} {version}\n")
            log.flush()
            subprocess.run(  # noqa: S603 - our own scripts
                [*launched, "timeout", str(HANGS), "bash", "-c", text],
                cwd=self._where,
                env={**os.environ, **given},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                check=True,
            )
        return Done(kind, version, begun, time.time_ns(), **json.loads(took.read_text()))


@dataclass(frozen=True)
class Ready:
    """Who runs a way's scripts, its sites, the value of its containers' label, and where they are.

    `node` is the container that has their engine; "" where that is this machine's.
    """

    run: Run
    sites: Sequence[Site]
    app: str
    node: str = ""

    def docker(self, *words: str) -> str:
        """What a command of Docker's says of its engine."""
        return docker(*(("exec", self.node, "docker") if self.node else ()), *words)


@contextmanager
def _ready(settings: Settings, project: Path, way: Way, folder: Path) -> Iterator[Ready]:
    """What a way needs, while the block runs."""
    run = Run(way, folder, project)
    trusted = (folder / "proxy" / CERTIFICATE).read_text
    if way.lab:
        with _with_hosts(settings, way.hosts) as sites:
            run("cleanup", "", "")  # what an earlier way left warm is none of this one's
            with _with_its_proxy(way, run, Run(replace(way, given=()), folder, project)):
                yield Ready(run, sites, settings.app)
        return
    if way.engine:
        demo = (project / "compose/stateless.yml").read_text()
        with adopted(way, folder, demo, ways.PORT) as (address, node):
            yield Ready(run, (Site(address, ways.PORT, 0, str),), AS_IT_IS, node)
        return
    ways.write(way, folder, project)
    here = Site("127.0.0.1", ways.PORT, ways.TLS_PORT, trusted)
    if way.swarm:
        with one_node.node(folder) as address:
            yield Ready(run, (replace(here, address=address),), ways.APP)
        return
    _remove(folder)
    if way.image == ways.NGINX:
        docker("build", "-q", "-t", ways.NGINX, "-", given=ways.DOCKERFILE)
    try:
        _compose(folder, "shared", "up", "-d", "--wait")
        yield Ready(run, (here,), ways.APP)
    finally:
        _remove(folder)


@contextmanager
def _with_hosts(settings: Settings, count: int) -> Iterator[tuple[Site, ...]]:
    """The lab with so many hosts: their sites, while the block runs."""
    lab.up(settings, lambda _: None, count)
    hosts = with_nodes(settings.model_copy(update={"hosts": settings.hosts[:1]})).hosts
    port, tls_port = settings.site.port, settings.site.tls_port
    try:
        yield tuple(
            Site(each.address, port, tls_port, partial(_authority, settings, each))
            for each in hosts
        )
    finally:
        if count > 1:
            lab.up(settings, lambda _: None, 1)


def _authority(settings: Settings, machine: HostSettings) -> str:
    with HostUnderTest(settings, machine) as host:
        return host.authority()


@contextmanager
def _with_its_proxy(way: Way, run: Run, usual: Run) -> Iterator[None]:
    """The lab's proxy as the way's settings have it, while the block runs."""
    if not way.given:
        yield
        return
    done = run("proxy", "", "")
    if done.code != 0:
        raise ProofError(f"the lab's proxy did not become what it wants: {done.code}")
    try:
        yield
    finally:
        usual("proxy", "", "")


def _remove(folder: Path) -> None:
    filters = ("--filter", f"label=cyan.app={ways.APP}")
    own = docker("ps", "-aq", *filters).split()
    if own:
        docker("rm", "-f", "-v", *own)
    _compose(folder, "proxy", "down", "-t", "1")
    _compose(folder, "shared", "down", "-v", "-t", "1")


def _compose(folder: Path, file: str, *words: str) -> None:
    docker("compose", "--progress", "quiet", "-p", ways.APP, "-f", f"{folder}/{file}.yml", *words)


def _running(ready: Ready, version: str) -> set[str]:
    """The containers of a version that are there."""
    filters = [f"label=cyan.app={ready.app}", f"label=cyan.version={version}"]
    words = [word for each in filters for word in ("--filter", each)]
    return {*ready.docker("ps", "-aq", *words).split()}


@contextmanager
def _memory(ready: Ready) -> Iterator[list[int]]:
    """The bytes that what rotates uses, about once a second while the block runs."""
    found: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(1.0):
            labels = ("--filter", f"label=cyan.app={ready.app}", "--filter", "label=cyan.color")
            ids = ready.docker("ps", "-q", "--no-trunc", *labels).split()
            found.append(sum(_used(each) for each in ids))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(5)


def _used(container: str) -> int:
    """What a container uses, by its control group; 0 where that is not found."""
    root = Path("/sys/fs/cgroup")
    for group in (
        f"docker/{container}/memory.current",
        f"system.slice/docker-{container}.scope/memory.current",
        f"memory/docker/{container}/memory.usage_in_bytes",
        f"docker/*/docker/{container}/memory.current",  # within a node of the lab
        f"memory/docker/*/docker/{container}/memory.usage_in_bytes",
    ):
        for path in root.glob(group):
            with suppress(OSError, ValueError):
                return int(path.read_text())
    return 0


def chosen(names: Sequence[str]) -> tuple[Way, ...]:
    """The ways of these names; all where none is named. Raises UsageError for an unknown one."""
    if unknown := [name for name in names if name not in ways.BY_NAME]:
        raise UsageError(
            f"no way is called {', '.join(unknown)}", todo=f"of: {', '.join(ways.BY_NAME)}"
        )
    return tuple(ways.BY_NAME[name] for name in names) or ways.WAYS
