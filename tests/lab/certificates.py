"""A certificate that nobody but a test trusts."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def made(folder: Path, *names: str) -> dict[str, str]:
    """A certificate of these names and its key, as cyan.site is told of them."""
    certificate, key = folder / "site.pem", folder / "site.key"
    called = ",".join(f"DNS:{name}" for name in names)
    words = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test")
    more = ("-addext", f"subjectAltName={called}", "-out", str(certificate), "-keyout", str(key))
    subprocess.run(["openssl", *words, *more], check=True, capture_output=True)
    return {"certificate": str(certificate), "key": str(key)}
