"""Images on their way to the host: pulled, built there, or sent from this machine."""

from __future__ import annotations

import json
import os
import shlex
import tarfile
from dataclasses import dataclass
from functools import cache
from gzip import GzipFile
from shutil import copyfileobj
from subprocess import DEVNULL, PIPE, Popen, run
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, cast

from cyan.application.secrets import output_of
from cyan.errors import HostError, UsageError
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path, PurePosixPath

    from cyan.sections import LoginSettings
    from cyan.world.host import Host, Output, Runner, Sink

CHUNK = 1 << 18  # bytes

REFUSED = "the registry refused the log-in"
DENIED = "access is denied (a registry says so of a repository that does not exist, too)"
ABSENT = "the registry has no such tag"
SURE = (REFUSED, DENIED, ABSENT)
"""What does not pass by itself."""

FAULTS = (
    (("toomanyrequests", "rate limit"), "the registry's rate limit is reached", "log in, or wait"),
    (
        ("permission denied while trying to connect", "docker.sock: connect: permission denied"),
        "the user may not use the host's Docker Engine",
        "make the user a member of the group docker there, or choose another: cyan.hosts",
    ),
    (
        ("no matching manifest for", "no match for platform in manifest"),
        "the registry has it, but not for the host's kind of processor",
        "build it for the host's platform",
    ),
    (
        ("no space left on device",),
        "the host's disk is full",
        "free some: docker system df shows what holds it",
    ),
    (
        ("status: 401", "incorrect username or password"),
        REFUSED,
        "are cyan.images.login's user and password right?",
    ),
    (
        (
            "pull access denied",
            ": denied",
            "unauthorized",
            "no basic auth credentials",
            "authorization failed",
            "403 forbidden",
        ),
        DENIED,
        "is its name spelt right, and may the host pull it? cyan.images.login names who it is",
    ),
    (
        ("manifest unknown", "name unknown", "not found"),
        ABSENT,
        "is the version spelt right, and was it pushed?",
    ),
    (
        ("dial tcp", "no such host", "i/o timeout", "client.timeout", "x509:", "tls:", ": eof"),
        "the registry cannot be reached",
        "can the host reach it? or send the image from this machine: cyan.images.from",
    ),
)
"""What the engine's text holds, in lower case; what it means; what to do. The first one counts."""


@dataclass(frozen=True)
class LocalImage:
    """An image on this machine: its id, its size in bytes, its layers from the base upwards."""

    reference: str
    id: str
    size: int
    layers: tuple[str, ...]


def fault(text: str) -> tuple[str, str]:
    """What the engine's words on a failed pull mean, and what to do."""
    lowered = text.lower()
    for words, meaning, todo in FAULTS:
        if any(word in lowered for word in words):
            return meaning, todo
    return "the pull failed", "try it by hand on the host: docker pull"


def pull(by: Runner, references: Sequence[str], folder: str, login: LoginSettings | None) -> Output:
    """Pull images one after the other, after a log-in where there is one; what docker printed.

    The password is fed through the connection. Raises UsageError where there is none to be had.
    """
    return logged_in(by, folder, login, lambda docker: _pulls(docker, references))


def logged_in(
    by: Runner, folder: str, login: LoginSettings | None, then: Callable[[str], str]
) -> Output:
    """Run the script that `then` makes of how docker is called, after a log-in where there is one.

    The password is fed through the connection. Raises UsageError where there is none to be had.
    """
    if login is None:
        return by.run(f"sh -c {shlex.quote(then('docker'))}", check=False)
    command, password = login_command(then, folder, login), password_of(login).encode()
    return by.feed(command, lambda sink: sink.write(password), check=False)


def login_command(then: Callable[[str], str], folder: str, login: LoginSettings) -> str:
    """The shell command that reads the password from its input, logs in, does it, and forgets.

    What docker remembers of the log-in lies in a folder of mode 0700, which goes at the end; what
    a killed one left goes at the beginning.
    """
    own = f"{quoted_path(folder)}/login."
    docker = 'docker --config "$login"'
    words = ("login", "--username", login.user, "--password-stdin", login.registry)
    script = (
        f"umask 077; rm -rf -- {own}*; login=$(mktemp -d {own}XXXXXX) || exit; "
        "trap 'rm -rf -- \"$login\"' EXIT; trap 'exit 143' TERM; "
        f'said=$({docker} {shlex.join(words)} 2>&1) || {{ printf "%s" "$said" >&2; exit 1; }}; '
        f"{then(docker)}"
    )
    return f"sh -c {shlex.quote(script)}"


def is_for(login: LoginSettings, reference: str) -> bool:
    """Whether a log-in is for the registry that an image's name begins with."""
    first, slash, _ = reference.partition("/")
    registry = first if slash and (set(first) & set(".:") or first == "localhost") else "docker.io"
    return login.registry.split("/")[0].removeprefix("index.") == registry


def credentials(login: LoginSettings) -> dict[str, str]:
    """A log-in as the engine's API takes it. UsageError where there is no password."""
    password = password_of(login)
    return {"username": login.user, "password": password, "serveraddress": login.registry}


def local(reference: str) -> LocalImage | None:
    """An image of this machine's engine; None where it has none of that name or id.

    Raises UsageError where no engine answers here.
    """
    found = run(_words("image", "inspect", reference), capture_output=True, text=True, check=False)  # noqa: S603
    if found.returncode != 0:
        if "no such image" in found.stderr.lower():
            return None
        raise UsageError(f"this machine's Docker Engine does not answer: {found.stderr.strip()}")
    raw = json.loads(found.stdout)[0]
    return LocalImage(reference, raw["Id"], raw["Size"], tuple(raw["RootFS"]["Layers"] or ()))


def layers_on(host: Host) -> tuple[tuple[str, ...], ...]:
    """The layers of every image on the host, each from its base upwards."""
    form = shlex.quote("{{json .RootFS.Layers}}")
    stdout = host.run(
        "docker image ls --quiet --no-trunc | sort -u | "
        f"xargs -r docker image inspect --format {form}"
    ).stdout
    return tuple(tuple(json.loads(line) or ()) for line in stdout.splitlines())


def shared(layers: Sequence[str], others: Iterable[Sequence[str]]) -> frozenset[str]:
    """The layers that need not be sent to an engine which has images of the layers `others`.

    An engine knows a layer by all that lie below it, so they are those of the longest beginning
    that one of its images shares; and not one that comes again further up.
    """
    common = max((_common(layers, other) for other in others), default=0)
    return frozenset(layers[:common]) - frozenset(layers[common:])


def send(by: Runner, image: LocalImage, skip: frozenset[str], read: Callable[[int], None]) -> int:
    """Stream an image of this machine into the host's engine, without the layers `skip`.

    `read` hears of the archive's bytes as they are read, some `image.size` in all. Returns how many
    bytes were sent. Raises HostError where the engine does not take it.
    """
    with Popen(_words("save", image.reference), stdout=PIPE, stderr=DEVNULL) as saving:  # noqa: S603
        archive = cast("IO[bytes]", saving.stdout)
        sent: list[int] = []
        try:
            by.feed(
                "docker load --quiet",
                lambda sink: _archived(_Heard(archive, read), skip, _Counted(sink, sent.append)),
            )
        finally:
            archive.close()  # it has been read to its end, or nobody reads on
    if saving.returncode != 0:
        raise HostError(f"docker save {image.reference} failed on this machine")
    return sum(sent)


def send_folder(
    by: Runner, source: Path, target: PurePosixPath, sent: Callable[[int], None]
) -> None:
    """Send a build context to a new folder of mode 0700, but for what its .dockerignore names.

    Raises UsageError where there is no such folder, HostError.
    """
    from docker.utils import tar  # noqa: PLC0415 - the docker SDK is slow to import

    if not source.is_dir():
        raise UsageError(f"{source} is no folder to build in", todo="cyan.images.context")
    ignore = source / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    excluded = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    folder = quoted_path(target)
    command = f"rm -rf -- {folder} && mkdir -p -m 700 {folder} && tar -xz -C {folder}"
    with TemporaryFile() as packed:
        tar(source, exclude=excluded, fileobj=packed, gzip=True)
        packed.seek(0)
        by.feed(command, lambda sink: copyfileobj(packed, _Counted(sink, sent), CHUNK))


def _archived(archive: _Heard, skip: frozenset[str], sink: _Counted) -> None:
    """Write an image's archive, compressed, without the files of the layers `skip`.

    Engines from 25 on keep a layer as blobs/sha256/DIGEST; an older one's layers are all sent.
    """
    unwanted = {f"blobs/{layer.replace(':', '/')}" for layer in skip}
    with (
        GzipFile(fileobj=sink, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=cast("IO[bytes]", archive), mode="r|") as whole,
        tarfile.open(fileobj=packed, mode="w|") as part,
    ):
        for member in whole:
            if member.name not in unwanted:
                part.addfile(member, whole.extractfile(member) if member.isfile() else None)


class _Heard:
    """A stream that tells how much was read of it."""

    def __init__(self, stream: IO[bytes], read: Callable[[int], None]) -> None:
        self._stream = stream
        self._read = read

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._read(len(data))
        return data


class _Counted:
    """A sink that tells how much went into it."""

    def __init__(self, sink: Sink, sent: Callable[[int], None]) -> None:
        self._sink = sink
        self._sent = sent

    def write(self, data: bytes) -> int:
        self._sent(len(data))
        return self._sink.write(data)

    def flush(self) -> None:
        self._sink.flush()


def _pulls(docker: str, references: Sequence[str]) -> str:
    return " && ".join(f"{docker} pull --quiet {shlex.quote(each)}" for each in references)


def _words(*words: str) -> list[str]:
    return ["docker", *words]


def _common(layers: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(layers, other, strict=False))
    return next((at for at, (mine, its) in pairs if mine != its), min(len(layers), len(other)))


@cache
def password_of(login: LoginSettings) -> str:
    """The registry's password, which is asked for once. UsageError where there is none."""
    if login.password_command:
        return output_of(login.password_command, "cyan.images.login.password_command").strip("\r\n")
    try:
        return os.environ[login.password_environment]
    except KeyError:
        raise UsageError(
            f"the environment variable {login.password_environment} is not set",
            todo="it holds the registry's password: cyan.images.login.password_environment",
        ) from None
