"""The developer's front door: `nox -l` lists the sessions, `nox -s tests` runs one.

They run in the environment that ./setup made, so that what is tested is what is locked.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]
BIN = ".venv/bin"


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, and the rules of who may import whom."""
    session.run(f"{BIN}/ruff", "check", ".")
    session.run(f"{BIN}/ruff", "format", "--check", ".")
    session.run(f"{BIN}/lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    session.run(f"{BIN}/mypy")


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
    for name in ("commands", "deploy", "switch", "marker", "logging_cost"):
        session.run(f"{BIN}/python", f"benchmarks/{name}.py", success_codes=[0, 1, 2, 3])
