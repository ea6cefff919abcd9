"""Other ways to the lab's host: an sshd with settings of its own, and other Unix users."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyan.lab import ports
from tests.conftest import PORTS
from tests.lab.harness import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.harness import Lab

PORT = PORTS["ssh"] + 5000


@contextmanager
def sshd(lab: Lab, *lines: str, port: int = PORT) -> Iterator[dict[str, Any]]:
    """The lab's host by an sshd for which `lines` come first; what stands for it in cyan.hosts."""
    folder = lab.folder / ".lab"
    first = (f"Port {port}", f"PidFile {folder}/other.pid", *lines)
    rest = (folder / "sshd_config").read_text().partition("\n")[2]  # but for its port
    (folder / "other_config").write_text("\n".join((*first, rest)))
    key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "other_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
    words = ("-f", str(folder / "other_config"), "-E", str(folder / "other.log"))
    subprocess.run((program, *words), check=True)
    until(lambda: ports.holder(port) is not None, "the other sshd listens")
    try:
        yield {
            "address": "127.0.0.1",
            "port": port,
            "identity": ".lab/client_key",
            "known_hosts": ".lab/other_hosts",
        }
    finally:
        os.kill(int((folder / "other.pid").read_text()), 15)
        until(lambda: ports.holder(port) is None, "the other sshd ends")
        for name in ("other_config", "other_hosts", "other.log"):
            Path(folder / name).unlink()


@contextmanager
def users(lab: Lab, *names: str) -> Iterator[dict[str, dict[str, Any]]]:
    """Unix users of this machine who may use its engine; what stands for each in cyan.hosts."""
    keys = lab.folder / "authorized_keys"  # sshd reads it as the user
    shutil.copyfile(lab.folder / ".lab/authorized_keys", keys)
    keys.chmod(0o644)
    private = lab.folder / ".lab"
    for name in names:
        subprocess.run(("useradd", "-m", "-s", "/bin/bash", "-G", "docker", name), check=True)
    private.chmod(0o711)
    lines = (f"AllowUsers {' '.join(names)}", f'AuthorizedKeysFile "{keys}"')
    try:
        with sshd(lab, *lines) as entry:
            yield {name: entry | {"user": name} for name in names}
    finally:
        private.chmod(0o700)
        for name in names:
            _remove(name)


def _remove(user: str) -> None:
    def removed() -> bool:  # it is refused while a process of theirs runs
        words = ("userdel", "-r", user)
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    until(removed, f"nothing of {user} runs")
