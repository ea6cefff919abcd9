"""The developers' tools, as .ci/run starts them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent


def tool(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the tests' own environment; .ci/run itself fails where it is missing."""
    beside = str(Path(sys.executable).parent)
    program = shutil.which(name, path=beside)
    if program is None:
        pytest.skip(f"{name} is not installed: ./setup")
    return subprocess.run(
        [program, *words], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
