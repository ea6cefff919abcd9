"""`inv bench`: each way deploys, goes back and fails once under the same load; one table of all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.bench import launch, page, ways
from cyan.bench.measure import Done, Row, row
from cyan.errors import CyanError, ProofError, UsageError
from cyan.lab import lab
from cyan.proof.client_log import read_client
from cyan.proof.load import Load, Swarm
from cyan.proof.relay.process import RelayOptions, relayed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from cyan.bench.options import Options
    from cyan.bench.ways import Way
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
    with _ready(settings, project, way, folder) as (run, url, app):
        first = run("deploy", VERSIONS[0], "")
        if first.code != 0:
            raise ProofError(f"its first deploy ended with {first.code}", where=str(folder))
        if way.proxy:
            _compose(folder, "proxy", "up", "-d", "--wait")
            time.sleep(2)
        with ExitStack() as stack:
            where = url
            if options.rtt:
                where = stack.enter_context(relayed(url, RelayOptions(options.rtt)))
            swarm = stack.enter_context(Swarm(_load(settings, where, options), folder / "client"))
            memory = stack.enter_context(_memory(app))
            swarm.wait_ready()
            begun = time.time_ns()
            time.sleep(options.steady)
            steady = begun, time.time_ns()
            done, left = _acts(run, app, options)
            time.sleep(2)
            swarm.finish()
        requests = read_client(folder / "client").requests
        (folder / "done.json").write_text(json.dumps([vars(each) for each in done], indent=1))
        return row(
            way.name, requests, done, steady=steady, app_memory=max(memory, default=0), left=left
        )


def _load(settings: Settings, url: str, options: Options) -> Load:
    return Load(
        url=url,
        locustfile=settings.verify.locustfile,
        rate=options.rate,
        sessions=options.sessions,
        seed=options.seed,
        extra=("--fresh-connections",) if options.fresh else (),
        in_flight=IN_FLIGHT,
    )


def _acts(run: Run, app: str, options: Options) -> tuple[list[Done], int]:
    """Deploy, go back, and deploy what never gets healthy; and how many containers that left."""
    done: list[Done] = []
    old = VERSIONS[0]
    for version, _ in zip(cycle(reversed(VERSIONS)), range(options.rotations), strict=False):
        done.append(run("deploy", version, old))
        old = version
        time.sleep(BETWEEN)
    back = next(each for each in VERSIONS if each != old)
    done.append(run("rollback", back, old))
    time.sleep(BETWEEN)
    before = _running(app, BROKEN)
    done.append(run("fails", BROKEN, back))
    return done, len(_running(app, BROKEN) - before)


class Run:
    """Runs a way's scripts in its folder; what each did, and what it took."""

    def __init__(self, way: Way, folder: Path, project: Path) -> None:
        self._way = way
        self._folder = folder
        self._project = project

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
        also = "" if way.proxy or way.lab else "-f ports.yml"
        inv = f"{sys.executable} -m cyan"
        given = {"VERSION": version, "OLD": old, "ALSO": also, "INV": inv, **dict(way.given)}
        text = words if way.lab else ways.script(words)
        took = self._folder.absolute() / "took.json"
        launched = [sys.executable, "-I", "-S", launch.__file__, str(took)]
        begun = time.time_ns()
        with (self._folder / "commands.log").open("a") as log:
            log.write(f"--- {kind} {version}\n")
            log.flush()
            subprocess.run(  # noqa: S603 - our own scripts
                [*launched, "timeout", str(HANGS), "bash", "-c", text],
                cwd=self._project if way.lab else self._folder,
                env={**os.environ, **given},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                check=True,
            )
        return Done(kind, version, begun, time.time_ns(), **json.loads(took.read_text()))


@contextmanager
def _ready(
    settings: Settings, project: Path, way: Way, folder: Path
) -> Iterator[tuple[Run, str, str]]:
    """What a way needs, while the block runs: who runs its scripts, its URL, its label's value."""
    run = Run(way, folder, project)
    if way.lab:
        lab.up(settings, lambda _: None)
        run("cleanup", "", "")  # what an earlier way left warm is none of this one's
        with _with_its_proxy(way, run, Run(replace(way, given=()), folder, project)):
            yield run, settings.site.url, settings.app
        return
    ways.write(way, folder, project)
    _remove(folder)
    if way.image == ways.NGINX:
        _docker("build", "-q", "-t", ways.NGINX, "-", given=ways.DOCKERFILE)
    try:
        _compose(folder, "shared", "up", "-d", "--wait")
        yield run, f"http://127.0.0.1:{ways.PORT}", ways.APP
    finally:
        _remove(folder)


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
    own = _docker("ps", "-aq", *filters).split()
    if own:
        _docker("rm", "-f", "-v", *own)
    _compose(folder, "proxy", "down", "-t", "1")
    _compose(folder, "shared", "down", "-v", "-t", "1")


def _compose(folder: Path, file: str, *words: str) -> None:
    _docker("compose", "--progress", "quiet", "-p", ways.APP, "-f", f"{folder}/{file}.yml", *words)


def _running(app: str, version: str) -> set[str]:
    """The containers of a version that are there."""
    filters = [f"label=cyan.app={app}", f"label=cyan.version={version}"]
    words = [word for each in filters for word in ("--filter", each)]
    return {*_docker("ps", "-aq", *words).split()}


@contextmanager
def _memory(app: str) -> Iterator[list[int]]:
    """The bytes that what rotates uses, about once a second while the block runs."""
    found: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(1.0):
            labels = ("--filter", f"label=cyan.app={app}", "--filter", "label=cyan.color")
            ids = _docker("ps", "-q", "--no-trunc", *labels).split()
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
    for path in (
        root / "docker" / container / "memory.current",
        root / "system.slice" / f"docker-{container}.scope" / "memory.current",
        root / "memory/docker" / container / "memory.usage_in_bytes",
    ):
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            continue
    return 0


def _docker(*words: str, given: str = "") -> str:
    docker = shutil.which("docker") or "docker"
    done = subprocess.run(  # noqa: S603 - our own words
        [docker, *words], input=given, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CyanError(f"docker {words[0]} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def chosen(names: Sequence[str]) -> tuple[Way, ...]:
    """The ways of these names; all where none is named. Raises UsageError for an unknown one."""
    if unknown := [name for name in names if name not in ways.BY_NAME]:
        raise UsageError(
            f"no way is called {', '.join(unknown)}", todo=f"of: {', '.join(ways.BY_NAME)}"
        )
    return tuple(ways.BY_NAME[name] for name in names) or ways.WAYS
