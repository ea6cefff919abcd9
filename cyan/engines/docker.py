"""The Docker Engine of a host, through the host's SSH connection (`docker system dial-stdio`)."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cyan.engines import tasks
from cyan.engines.containers import container_of
from cyan.errors import HostError
from cyan.names import EngineKind
from cyan.world.podman import SOCKET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from docker.api.client import APIClient

    from cyan.engines.containers import Container
    from cyan.names import Color
    from cyan.world.host import Host

TIMEOUT = 60  # seconds
HEADER = 8  # bytes
SAID = 200  # characters of what a health check printed
TASK = "com.docker.swarm.task"
"""The label of a container that Swarm has: it is told of as a task, wherever it runs."""

LEADERLESS = ("swarm does not have a leader", "context deadline exceeded")
"""What is said where most managers are lost: https://docs.docker.com/engine/swarm/admin_guide/."""

EVENTS = ["create", "start", "die", "kill", "oom", "stop", "destroy", "health_status", "restart"]


@dataclass(frozen=True)
class Wiring:
    """How a container is connected.

    `published` are (address, port) on the host; `address` is its own on a network, "" where
    it has none, `listens` the TCP ports that its image exposes: not all of them need be used.
    """

    service: str
    published: frozenset[tuple[str, int]]
    address: str
    listens: tuple[int, ...]


@dataclass(frozen=True)
class Image:
    """An image on the host: its id, and its digests in the registries that it is known to."""

    id: str
    digests: tuple[str, ...]


def _load_sdk() -> None:
    import cyan.engines.client  # noqa: F401, PLC0415 - to have it imported


class Engine:
    """The engine of `host`. Every call may raise HostError."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: dict[str, tasks.Found] = {}  # of containers that Swarm has, wherever
        # the SDK takes a tenth of a second to import, and SSH as long to connect: at the same time
        threading.Thread(target=_load_sdk, daemon=True).start()

    def containers(
        self, app: str, color: Color | None = None, beside: Sequence[str] = ()
    ) -> tuple[Container, ...]:
        """The containers of `app`, or of one color of it, stopped ones too, by name.

        And those of the Compose projects `beside` it.
        """
        labels = [[f"cyan.app={app}", *([f"cyan.color={color}"] if color else [])]]
        labels += [[f"com.docker.compose.project={project}"] for project in beside]
        with self._explained("list containers"):
            listed = {
                item["Id"]: TASK in (item.get("Labels") or {})
                for each in labels
                for item in self._api.containers(all=True, filters={"label": each})
            }
        own = [number for number, of_swarm in listed.items() if not of_swarm]
        found = [item for each in own if (item := self._inspected(each))]
        found += self._spread(labels[0], listed)
        return tuple(sorted(found, key=lambda item: item.name))

    def _spread(self, labels: list[str], here: Collection[str]) -> list[Container]:
        """What Swarm has of services with these labels, on all of its nodes, some of it `here`."""
        if self._host.settings.engine is not EngineKind.SWARM:
            return []
        with self._explained("list the services of the swarm"):
            services = self._api.services(filters={"label": labels})  # type: ignore[no-untyped-call]
            names = [each["ID"] for each in services]
            listed = self._api.tasks(filters={"service": names}) if names else []  # type: ignore[no-untyped-call]
            found = tasks.found(services, listed, self._api.nodes() if names else [])
        self._tasks |= {each.container.id: each for each in found if each.container.task}
        untold = {each.failed for each in found if each.container.why == tasks.UNTOLD}
        said = {name: words for name in untold & {*here} if (words := self._check_said(name))}
        return [
            replace(each, node="") if each.id in here else each
            for each in tasks.explained(found, said)
        ]

    def _check_said(self, container: str) -> str:
        """How the health check of a container ended at last, and what it printed; "" where well."""
        from docker.errors import NotFound  # noqa: PLC0415 - slow to import

        try:
            with self._explained(f"inspect container {container[:12]}"):
                state = self._api.inspect_container(container)["State"]
        except NotFound:
            return ""
        last = ((state.get("Health") or {}).get("Log") or [{}])[-1]
        printed = " ".join(str(last.get("Output") or "it printed nothing").split())[:SAID]
        code = last.get("ExitCode", 0)
        return f"its health check ended with exit code {code}: {printed}" if code else ""

    def has_image(self, image: str) -> bool:
        """Whether the engine holds `image` already."""
        return self.image(image) is not None

    def image(self, name: str) -> Image | None:
        """The image of that tag, id or digest; None where the engine holds none."""
        from docker.errors import ImageNotFound  # noqa: PLC0415 - slow to import

        try:
            with self._explained(f"look for the image {name}"):
                raw = self._api.inspect_image(name)  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None
        return Image(raw["Id"], tuple(raw.get("RepoDigests") or ()))

    def refused(self, reference: str, credentials: Mapping[str, str]) -> str:
        """Why the engine could not pull an image, in its registry's words; "" where it could.

        `credentials` as the API's AuthConfig, empty for nobody's: never this machine's own.
        """
        from docker.errors import APIError  # noqa: PLC0415 - slow to import

        try:
            self._api.inspect_distribution(reference, dict(credentials))  # type: ignore[no-untyped-call]
        except APIError as error:
            said = str(error.explanation or error)
            return f"{said} (status: {error.status_code})" if credentials else said
        except OSError as error:
            return f"the engine did not say: {error}"
        return ""

    def image_ids(self) -> frozenset[str]:
        """The ids of all images that the engine holds."""
        with self._explained("list images"):
            return frozenset(self._api.images(quiet=True, all=True))

    def image_size(self, image: str) -> int:
        """The bytes that an image takes, layers that it shares with others too; 0 if it is gone."""
        from docker.errors import ImageNotFound  # noqa: PLC0415 - slow to import

        try:
            with self._explained(f"look at the image {image[:19]}"):
                return int(self._api.inspect_image(image)["Size"])  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return 0

    def memory(self, container: str) -> int:
        """The bytes of memory that a container uses now, without its cache; 0 if it is gone.

        As `docker stats` counts: https://docs.docker.com/reference/cli/docker/container/stats/.
        """
        from docker.errors import NotFound  # noqa: PLC0415 - slow to import

        try:
            with self._explained(f"measure container {container[:12]}"):
                said = self._api.stats(container, stream=False, one_shot=True)
        except NotFound:
            return 0
        usage = said.get("memory_stats", {})
        cache = usage.get("stats", {}).get("inactive_file", 0)
        return max(0, int(usage.get("usage", 0)) - int(cache))

    def described(self, container: str) -> str:
        """All that the engine says of a container, as JSON; of its environment only the names.

        {} where it is gone.
        """
        from docker.errors import NotFound  # noqa: PLC0415 - slow to import

        try:
            with self._explained(f"inspect container {container[:12]}"):
                raw = self._api.inspect_container(container)
        except NotFound:
            return "{}"
        given = raw["Config"].get("Env") or []
        raw["Config"]["Env"] = [f"{each.partition('=')[0]}=..." for each in given]
        return json.dumps(raw, indent=1)

    def events(self, app: str, since: float, until: float) -> str:
        """What happened to the containers of `app` between two moments, a JSON object a line.

        Both are wall seconds of the host; `until` must have passed, or the engine waits for it.
        """
        with self._explained("list events"):
            filters = {"label": f"cyan.app={app}", "event": EVENTS}
            # the SDK's types know no fractions of a second, which the API takes
            between: Any = {"since": f"{since:.3f}", "until": f"{until:.3f}"}
            found = self._api.events(filters=filters, decode=True, **between)
            return "".join(f"{json.dumps(each)}\n" for each in found)

    def wiring(self, container: str) -> Wiring:
        """How a container is connected."""
        with self._explained(f"inspect container {container[:12]}"):
            raw = self._api.inspect_container(container)
        return _wiring(raw)

    def address(self, container: str, network: str) -> str:
        """Where a container that Swarm has is reached on a network; "" where it is not."""
        found = self._tasks.get(container)
        return found.addresses.get(network, "") if found else ""

    def exec(self, container: str, argv: tuple[str, ...]) -> str:
        """Run `argv` in a container; its output. HostError unless it exits with code 0."""
        from docker.errors import NotFound  # noqa: PLC0415 - slow to import

        try:
            with self._explained(f"run {argv[0]} in container {container[:12]}"):
                made = self._api.exec_create(container, list(argv))["Id"]
        except NotFound:
            raise HostError(
                f"container {container[:12]} is not on this host{self._elsewhere(container)}",
                where=self._host.name,
                todo="inv status shows what is there",
            ) from None
        with self._explained(f"run {argv[0]} in container {container[:12]}"):
            stdout, stderr = self._api.exec_start(made, demux=True)
            code = self._api.exec_inspect(made)["ExitCode"]
        if code != 0:
            raise HostError(
                f"{argv[0]} in container {container[:12]} failed with exit code {code}: "
                f"{(stderr or b'').decode(errors='replace').strip()[-1000:]}",
                where=self._host.name,
            )
        return (stdout or b"").decode(errors="replace")

    def logs(self, container: str, tail: int) -> str:
        """The last `tail` lines that a container printed; "" where it is gone."""
        from docker.errors import NotFound  # noqa: PLC0415 - slow to import

        try:
            with self._explained(f"read the log of container {container[:12]}"):
                if container in self._tasks:
                    return self._logs_of_task(self._tasks[container].container.task, tail)
                raw = self._api.logs(container, tail=tail, stdout=True, stderr=True)
        except NotFound:
            return ""
        return bytes(raw).decode(errors="replace")

    def _elsewhere(self, container: str) -> str:
        found = self._tasks.get(container)
        return f", but on {found.container.node} of its swarm" if found else ""

    def _logs_of_task(self, task: str, tail: int) -> str:
        """From whichever node it runs on.

        https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Task/operation/TaskLogs
        """
        where = f"{self._api.base_url}/v{self._api.api_version}/tasks/{task}/logs"
        asked = {"stdout": "1", "stderr": "1", "tail": str(tail)}
        raw = self._api.get(where, params=asked, timeout=TIMEOUT).content
        return b"".join(_frames(raw)).decode(errors="replace")

    @cached_property
    def _api(self) -> APIClient:
        from cyan.engines.client import client  # noqa: PLC0415 - the docker SDK is slow to import

        return client(self._host, TIMEOUT)

    def _inspected(self, container: str) -> Container | None:
        from docker.errors import NotFound  # noqa: PLC0415 - slow to import

        try:
            with self._explained(f"inspect container {container[:12]}"):
                found = container_of(self._api.inspect_container(container))
                if found.health == "starting" and self._must_be_asked:
                    self._check(container)
                    found = container_of(self._api.inspect_container(container))
                return found
        except NotFound:  # it was removed since it was listed
            return None

    @property
    def _must_be_asked(self) -> bool:
        """Whether Podman is asked to check: it knows no interval of its own for the start."""
        return self._host.settings.engine is EngineKind.PODMAN

    def _check(self, container: str) -> None:
        """Have Podman run a container's health check now.

        https://docs.podman.io/en/latest/_static/api.html#tag/containers/operation/ContainerHealthcheckLibpod
        """
        where = f"{self._api.base_url}/v5.0.0/libpod/containers/{container}/healthcheck"
        self._api.get(where, timeout=TIMEOUT)

    def _explained(self, doing: str) -> _Explained:
        return _Explained(self._host, doing)


class _Explained:
    """Turn the SDK's and the connection's errors into a HostError that says what was tried."""

    def __init__(self, host: Host, doing: str) -> None:
        self._host = host
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        from docker.errors import NotFound  # noqa: PLC0415 - slow to import

        if (
            error is None
            or isinstance(error, NotFound | HostError)
            or not isinstance(error, Exception)
        ):
            return
        if any(said in str(error) for said in LEADERLESS):
            raise HostError(
                f"the swarm has no leader, so that nothing can be begun or ended: {error}",
                where=self._host.name,
                todo="have most of its managers answer again, then repeat this: docker node ls; "
                "if they are lost for good: docker swarm init --force-new-cluster",
            ) from error
        if self._host.settings.engine is EngineKind.PODMAN:
            raise HostError(
                f"Podman could not {self._doing}: {error}",
                where=self._host.name,
                todo=f"does {SOCKET} answer there, and may {self._host.settings.user} use it? "
                "inv provision enables it: systemctl status podman.socket",
            ) from error
        raise HostError(
            f"the Docker Engine could not {self._doing}: {error}",
            where=self._host.name,
            todo="does 'docker version' answer there? a bare host is prepared by: fab provision",
        ) from error


def _frames(raw: bytes) -> Iterator[bytes]:
    """What a multiplexed stream holds: each frame has a header of 8 bytes, the last 4 its length.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
    """
    while len(raw) > HEADER:
        length = int.from_bytes(raw[4:HEADER], "big")
        yield raw[HEADER : HEADER + length]
        raw = raw[HEADER + length :]


def _wiring(raw: Mapping[str, Any]) -> Wiring:
    network = raw["NetworkSettings"]
    bindings = [each for found in (network["Ports"] or {}).values() for each in found or ()]
    addresses = [each["IPAddress"] for each in network["Networks"].values() if each["IPAddress"]]
    exposed = (port.partition("/") for port in raw["Config"].get("ExposedPorts") or {})
    listens = sorted(int(port) for port, _, kind in exposed if kind in ("tcp", ""))
    return Wiring(
        service=(raw["Config"]["Labels"] or {}).get("com.docker.compose.service", ""),
        published=frozenset((each["HostIp"], int(each["HostPort"])) for each in bindings),
        address=addresses[0] if addresses else "",
        listens=tuple(listens),
    )
