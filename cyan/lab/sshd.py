"""The lab's own OpenSSH server on 127.0.0.1: its keys, its configuration, its one process."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.errors import CyanError, UsageError
from cyan.lab import ports

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 10.0  # seconds for sshd to listen or to end

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {host_key}
AuthorizedKeysFile {authorized_keys}
PidFile {pid}
AllowUsers {user}
PermitRootLogin prohibit-password
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM {pam}
StrictModes no
AllowAgentForwarding no
X11Forwarding no
AllowTcpForwarding local
PermitOpen 127.0.0.1:*
ClientAliveInterval 15
ClientAliveCountMax 4
PrintMotd no
SetEnv SHLVL=1
LogLevel INFO
Subsystem sftp internal-sftp
"""


def start(folder: Path, port: int) -> str:
    """Start the lab's sshd unless it runs; what was done, in words.

    A server that another checkout's lab left on the port is ended and replaced. Raises UsageError
    where somebody else holds the port, CyanError where sshd is missing or does not start.
    """
    holder = ports.holder(port)
    if holder and holder.pid == _pid(folder):
        return f"sshd already listens on 127.0.0.1:{port}"
    took_over = ""
    if holder:
        _replace(holder, port)
        took_over = f", in place of the one that {holder.described} had left"
    _write(folder, port)
    _run(_sshd(), "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log"))
    _until(lambda: ports.holder(port) is not None, f"sshd does not listen; see {folder}/sshd.log")
    return f"sshd listens on 127.0.0.1:{port}{took_over}"


def stop(folder: Path) -> bool:
    """End the lab's sshd by its process id; whether one ran."""
    pid = _pid(folder)
    if pid is None:
        return False
    os.kill(pid, 15)
    _until(lambda: _pid(folder) is None, f"sshd (process {pid}) does not end")
    return True


def running(folder: Path) -> int | None:
    """The process id of the lab's sshd, if it runs."""
    return _pid(folder)


def _replace(holder: ports.Holder, port: int) -> None:
    if not (holder.name == "sshd" and "/.lab/sshd_config" in holder.command):
        raise UsageError(
            f"port {port} is held by {holder.described}",
            todo="end it, or choose another: cyan.lab.ssh_port and cyan.hosts in invoke.yaml",
        )
    os.kill(holder.pid, 15)
    _until(lambda: ports.holder(port) is None, f"{holder.described} does not end")


def _write(folder: Path, port: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in ("host_key", "client_key"):
        if not (folder / name).exists():
            _run(
                "ssh-keygen",
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                f"cyan lab {name}",
                "-f",
                str(folder / name),
            )
    shutil.copyfile(folder / "client_key.pub", folder / "authorized_keys")
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    root = os.geteuid() == 0
    if root:  # sshd wants its empty folder for privilege separation
        Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
    text = CONFIG.format(
        port=port,
        host_key=_word(folder / "host_key"),
        authorized_keys=_word(folder / "authorized_keys").replace("%", "%%"),  # else its tokens
        pid=_word(folder / "sshd.pid"),
        user=getpass.getuser(),
        pam="yes" if root else "no",
    )
    (folder / "sshd_config").write_text(text)


def _word(path: Path) -> str:
    """A path as one word of sshd_config(5)."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pid(folder: Path) -> int | None:
    """The process that the pid file names, if it is an sshd of this folder."""
    try:
        pid = int((folder / "sshd.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    ours = str(folder / "sshd_config").encode() in command or _logs_to(pid, folder / "sshd.log")
    return pid if ours else None


def _logs_to(pid: int, log: Path) -> bool:
    """Whether a process has our log open: sshd writes its title without é and the like."""
    with suppress(OSError):
        return any(
            each.exists() and each.samefile(log) for each in Path(f"/proc/{pid}/fd").iterdir()
        )
    return False


def _sshd() -> str:
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise CyanError("sshd is not installed", todo="run ./setup")
    return found


def _run(*words: str) -> None:
    result = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise CyanError(f"{words[0]} failed: {(result.stderr or result.stdout).strip()}")


def _until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise CyanError(otherwise)
        time.sleep(0.02)
