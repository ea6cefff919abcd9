"""What the lab's tests drive: the real command line, and a client that never retries."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cyan.configured import load
from cyan.rollout.drift import drift
from cyan.rollout.status import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cyan.hosts.look import Observation
    from cyan.settings import Settings

_NEWER = pytest.param("newer", marks=pytest.mark.nightly)
EITHER_PROXY = pytest.mark.parametrize("lab", ["caddy", "nginx", _NEWER], indirect=True)
"""For what is the same with each proxy."""

_NIGHT = [pytest.param(each, marks=pytest.mark.nightly) for each in ("nginx", "newer", "podman")]
EITHER_AT_NIGHT = pytest.mark.parametrize("lab", ["caddy", *_NIGHT[:2]], indirect=True)
"""The same, where the other one has to wait for the night."""

EVERYWHERE_AT_NIGHT = pytest.mark.parametrize("lab", ["caddy", *_NIGHT], indirect=True)
"""For what is the same with the other engine, too."""

_MATRIX = ["caddy", _NIGHT[0], _NIGHT[2]]
MATRIX_AT_NIGHT = pytest.mark.parametrize("lab", _MATRIX, indirect=True)
"""The same for hundreds of points: a night has no time for a later Caddy as well."""

COMMAND = (sys.executable, "-m", "cyan")
PATIENCE = 240.0
HANGS = 900.0  # seconds after which a command is taken for one that hangs; chaos takes minutes
PACE = 0.04  # seconds between two requests of a user: what is tried needs the processor more


def until(true: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for a condition; fail with `what` where it does not come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
        time.sleep(0.02)


@dataclass
class Client:
    """Requests on kept-alive connections, 30 % of them POST, each sent once."""

    port: int
    address: str = "127.0.0.1"
    errors: list[str] = field(default_factory=list)
    answers: list[tuple[float, str, str]] = field(default_factory=list)  # start, color, version

    def run(self, stop: threading.Event) -> None:
        """One user: request after request until told to stop."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=30)
        number = 0
        while not stop.is_set():
            number += 1
            started = time.time()
            try:
                self.answers.append((started, *self._one(connection, number)))
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(f"{started}: {error!r}")
                connection.close()
            time.sleep(PACE)
        connection.close()

    def saw_no_drop(self) -> None:
        """Assert that it sent enough and that each was answered."""
        assert self.errors == []
        assert len(self.answers) > 100

    def _one(self, connection: http.client.HTTPConnection, number: int) -> tuple[str, str]:
        if number % 10 < 3:
            body = json.dumps({"item": "test", "quantity": number})
            connection.request("POST", "/orders", body)
            wanted = 201
        else:
            connection.request("GET", "/items")
            wanted = 200
        answer = connection.getresponse()
        answer.read()
        if answer.status != wanted:
            message = f"status {answer.status}"
            raise http.client.HTTPException(message)
        return answer.headers["X-Color"], answer.headers["X-Version"]


@dataclass(frozen=True)
class Lab:
    """The lab of the tests."""

    folder: Path
    app: str
    port: int
    address: str = "127.0.0.1"
    node: str = ""  # the container that is its host, unless it is this machine

    def cyan(
        self, *words: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as an operator would; with `check`, it must succeed."""
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done

    @contextmanager
    def begun(
        self, *words: str, reaching: str, **environment: str
    ) -> Iterator[subprocess.Popen[str]]:
        """A command that has come to step `reaching`; it is killed where the test leaves it."""
        lines = len(self.journal())
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            until(lambda: self.reached(reaching, lines), f"{words} comes to {reaching}")
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()

    @contextmanager
    def load(self, users: int = 5, address: str = "") -> Iterator[Client]:
        """Independent clients at work; their connections outlive every switch."""
        client, stop = Client(self.port, address or self.address), threading.Event()
        threads = [threading.Thread(target=client.run, args=(stop,)) for _ in range(users)]
        for thread in threads:
            thread.start()
        try:
            yield client
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    @contextmanager
    def configured(self, **changes: Any) -> Iterator[None]:
        """The same lab with other settings, for a `with` block.

        By another way to it, it is no lab to cyan any more, and its secrets are given otherwise.
        """
        path = self.folder / "invoke.yaml"
        if "hosts" in changes:
            changes["secrets"] = {"file": "compose/lab.env", **changes.get("secrets", {})}
        before = path.read_text()
        path.write_text(yaml.safe_dump({"cyan": settings_section(self.folder) | changes}))
        try:
            yield
        finally:
            path.write_text(before)

    def release(self, color: str) -> Path:
        """The folder on the host of the release that a color's containers are of."""
        form = '{{index .Config.Labels "cyan.release"}}'
        name = next(iter(self.inspected(color, form).values()))
        return self.folder / ".lab/host/releases" / name

    def inspected(self, color: str, form: str) -> dict[str, str]:
        """What `docker inspect` says, by service, of one color's containers."""
        names = {
            name.removesuffix("-1").rpartition("-")[2]: name for name in self.containers(color)
        }
        return {
            service: self._docker("inspect", "--format", form, name.lstrip("/")).strip()
            for service, name in names.items()
        }

    def live(self, version: str) -> None:
        """Make `version` live, unless it is, and remove the standby.

        A warm one is gone back to: a deploy takes three times as long.
        """
        color, now = self.answering()
        others = [each for each in ("blue", "green") if each != color]
        if now != version:
            warm = self.inspected(others[0], '{{index .Config.Labels "cyan.version"}}')
            back = bool(color) and set(warm.values()) == {version}
            words = ("rollback",) if back else ("deploy", "--version", version)
            if self.cyan(*words, check=not back, INVOKE_CYAN_BAKE_SECONDS="0").returncode != 0:
                self.cyan("deploy", "--version", version, INVOKE_CYAN_BAKE_SECONDS="0")
        live = self.answering()[0]
        if any(self.containers(each) for each in ("blue", "green") if each != live):
            self.cyan("cleanup")

    @property
    def settings(self) -> Settings:
        """The settings of its project."""
        return load(settings_section(self.folder), {}, self.folder)

    def world(self) -> Observation:
        """What `inv status` looks at."""
        return observe(self.settings, self.settings.hosts[0])

    def is_clean(self) -> None:
        """Assert one marker, no drift, a free lock, and nothing that is there by mistake.

        The standby may only be of a release that has been live: one that failed, or was aborted or
        switched back from, is gone.
        """
        world = self.world()
        assert len(world.markers) == 1
        assert drift(world, self.settings) == ()
        assert world.owner is None
        been_live = {entry.release for entry in world.switches}
        assert {item.release for item in world.of(world.standby)} <= been_live
        assert self.leftovers() == []

    def leftovers(self) -> list[str]:
        """Containers of `compose run`, and files on the host that no command leaves there."""
        once = (f"label=cyan.app={self.app}", "label=com.docker.compose.oneoff=True")
        filters = [word for each in once for word in ("--filter", each)]
        found = self._docker("ps", "-a", *filters, "--format", "{{.Names}}").split()
        host = self.folder / ".lab/host"
        for pattern in (
            "*.new",
            "shared/*.new",
            "releases/*/*.new",
            "releases/*/context",
            "login.*",
        ):
            found += (str(path.relative_to(host)) for path in host.glob(pattern))
        return found

    def kills(self, color: str, service: str) -> None:
        """Kill the container of one service; the engine does not start it again."""
        self._docker("kill", f"{self.app}-{color}-{service}-1")

    def stops(self, color: str, service: str) -> None:
        """Stop the container of one service, as an operator who needs its memory would."""
        self._docker("stop", f"{self.app}-{color}-{service}-1")

    def answering(self, address: str = "") -> tuple[str, str]:
        """Color and version that the site answers with; empty where it does not."""
        connection = http.client.HTTPConnection(address or self.address, self.port, timeout=10)
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.headers.get("X-Color", ""), answer.headers.get("X-Version", "")

    def markers(self) -> set[str]:
        """The markers that exist."""
        return {path.name for path in (self.folder / ".lab/host/traffic").iterdir()}

    def journal(self) -> list[dict[str, Any]]:
        """The journal's entries, without one that is being written just now."""
        path = self.folder / ".lab/host/journal.jsonl"
        whole, _, _ = path.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line]

    def reached(self, step: str, begun: int) -> bool:
        """Whether a run that began after the journal's first `begun` lines came to a step."""
        return any((e["step"], e["event"]) == (step, "step") for e in self.journal()[begun:])

    def containers(self, color: str) -> dict[str, str]:
        """Container id and start time by name, of one color."""
        words = ["ps", "-aq", "--no-trunc", "--filter", f"label=cyan.app={self.app}"]
        ids = self._docker(*words, "--filter", f"label=cyan.color={color}").split()
        if not ids:
            return {}
        form = "{{.Name}} {{.Id}} {{.State.StartedAt}}"
        lines = self._docker("inspect", "--format", form, *ids).splitlines()
        return {name: rest for name, _, rest in (line.partition(" ") for line in lines)}

    def states(self) -> list[str]:
        """What the engine says of each of the application's containers: running, paused, …"""
        words = ["ps", "-a", "--filter", f"label=cyan.app={self.app}"]
        return self._docker(*words, "--format", "{{.State}}").split()

    def sql(self, query: str) -> str:
        """What the database answers, unaligned."""
        psql = ("psql", "-h", "/tmp", "-U", "demo", "-d", "demo", "-At", "-c", query)
        return self._docker("exec", f"{self.app}-database-1", *psql).strip()

    def _docker(self, *words: str) -> str:
        there = ("docker", "exec", self.node) if self.node else ()
        command = (*there, "docker", *words)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def process_lists() -> Iterator[set[str]]:
    """Every command line of this machine's processes that was seen during the block."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def settings_section(folder: Path) -> dict[str, Any]:
    """The cyan section of a project's invoke.yaml."""
    section: dict[str, Any] = yaml.safe_load((folder / "invoke.yaml").read_text())["cyan"]
    return section
