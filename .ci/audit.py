"""Asks pip-audit whether a lock file holds a package with a known vulnerability.

    .venv/bin/python .ci/audit.py requirements.lock

Exit code 0: none is known. 1: there is one. 2: the lock file cannot be read. Where the advisory
service does not answer, or knows none of the packages, it says so and ends with 0: a change must
not wait for somebody else's machine, and a silence must not look like a clean bill.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

WITHIN = 300  # seconds
SILENT = ("requests.exceptions.", "ServiceError", "Tip: your network may be blocking")
"""What pip-audit says, on its way out, where its service did not answer or answered nonsense."""


def main(lock: str) -> int:
    """Audit `lock`, say what was found; the exit code."""
    words = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"]
    words += ["--format", "json", "--progress-spinner", "off", "--requirement", lock]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            words, capture_output=True, text=True, timeout=WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        return _undone(f"the advisory service did not answer within {WITHIN} s")
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        if any(text in done.stderr for text in SILENT):
            return _undone(f"the advisory service did not answer: {_last_line(done.stderr)}")
        _say(f"audit: pip-audit failed on {lock}: {_last_line(done.stderr)}")
        return 2
    return _judged(found)


def _judged(found: list[dict[str, Any]]) -> int:
    known = [item for item in found if "skip_reason" not in item]
    bad = [item for item in known if item["vulns"]]
    if found and not known:
        return _undone(f"the advisory service knows none of the {len(found)} packages")
    for item in bad:
        for flaw in item["vulns"]:
            mended = ", ".join(flaw["fix_versions"]) or "no version yet"
            _say(f"audit: {item['name']} {item['version']}: {flaw['id']}, mended in {mended}")
    unknown = ", ".join(item["name"] for item in found if "skip_reason" in item)
    _say(
        f"audit: {len(bad)} of {len(known)} packages have a known vulnerability"
        + (f"; unknown to the service: {unknown}" if unknown else "")
    )
    return 1 if bad else 0


def _undone(why: str) -> int:
    _say(f"audit: NOT DONE: {why}")
    if os.environ.get("GITHUB_ACTIONS"):
        _say(f"::warning title=The packages were not audited::{why}")
    return 0


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
