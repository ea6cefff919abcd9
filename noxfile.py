"""The developer's front door: `nox -l` lists the sessions, `nox -s tests` runs one.

They run in the environment that ./setup made, so that what is tested is what is locked.
"""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "audit", "tests"]
BIN = ".venv/bin"
WORKFLOWS = sorted(str(path) for path in Path(".github/workflows").glob("*.yml"))
SCHEMA = "vendor.github-workflows"


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, the rules of who may import whom, and what is wrong with the workflows."""
    session.run(f"{BIN}/ruff", "check", ".")
    session.run(f"{BIN}/ruff", "format", "--check", ".")
    session.run(f"{BIN}/lint-imports")
    session.run(f"{BIN}/zizmor", "--offline", "--quiet", ".github")
    session.run(f"{BIN}/check-jsonschema", "--builtin-schema", SCHEMA, *WORKFLOWS)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    session.run(f"{BIN}/mypy")


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of what is locked; needs the network."""
    session.run(f"{BIN}/python", ".ci/audit.py", "requirements.lock")


@nox.session
def quick(session: nox.Session) -> None:
    """The tests that need no Docker."""
    session.run(f"{BIN}/pytest", "-m", "not lab", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, also those in the lab."""
    session.run(f"{BIN}/pytest", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, one after the other."""
    for name in ("commands", "deploy", "switch", "marker", "logging_cost", "reconcile"):
        session.run(f"{BIN}/python", f"benchmarks/{name}.py", success_codes=[0, 1, 2, 3])
