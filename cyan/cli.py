"""The command line: `cyan` runs the tasks of `cyan.tasks` by Invoke, as `inv` does."""

from __future__ import annotations

import functools
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from invoke import task

from cyan import interrupt
from cyan.bundled import bundled
from cyan.errors import CyanError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from invoke import Context, Task

    from cyan.settings import Settings

P = ParamSpec("P")
DEBUG = "CYAN_DEBUG"
CONFIGURATION = "invoke.yaml"


EXTRAS = {"proof": ("locust", "pandas", "plotly", "psutil", "pyarrow", "scipy")}
"""What an extra of cyan's brings, as modules: enough to tell whether it is installed."""


def command(
    needs: str = "",
    **options: Any,  # noqa: ANN401 - Invoke's own
) -> Callable[[Callable[P, None]], Task[Callable[P, None]]]:
    """An Invoke task whose errors are told to an operator, and whose exit code says their kind.

    `needs` is an extra of cyan's that it does nothing without.

    2: the input is wrong and nothing was touched; 1: it failed; 3: a verdict is unknown. With
    CYAN_DEBUG set the traceback is shown as well.
    """

    def decorate(body: Callable[P, None]) -> Task[Callable[P, None]]:
        made: Task[Callable[P, None]] = task(**options)(told(body, needs))
        return made

    return decorate


def told(body: Callable[P, None], needs: str = "") -> Callable[P, None]:
    """The same function with its errors printed and turned into exit codes; SIGTERM as Ctrl-C."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        interrupt.install()
        try:
            require(needs)
            body(*args, **kwargs)
        except CyanError as error:
            _tell(error)
        except KeyboardInterrupt:
            _tell(CyanError("it was interrupted", todo="see where things stand: inv status"))
        except Exception as error:  # noqa: BLE001 - a traceback is for those who ask for it
            _tell(_our_fault(error))

    return run


def require(extra: str) -> None:
    """Raises UsageError where an extra of cyan's is not installed."""
    missing = [name for name in EXTRAS.get(extra, ()) if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"this needs more than a deployer: {', '.join(missing)} is not installed",
            todo=f"pip install 'cyan[{extra}]', as cyan was installed",
        )


def settings(context: Context) -> Settings:
    """The validated settings of the project that the command was called in."""
    from cyan.configured import load  # noqa: PLC0415 - pydantic is slow to import

    section = context.config.get("cyan")
    if not section:
        raise _no_configuration()
    return load(section, os.environ, project_folder())


def project_folder() -> Path:
    """The nearest folder, from here upwards, that holds an invoke.yaml; here where none does."""
    here = Path.cwd()
    found = (folder for folder in (here, *here.parents) if (folder / CONFIGURATION).exists())
    return next(found, here)


def quietly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """In the place of a traceback for a flag or an INVOKE_* variable that is not what it must be.

    Invoke converts both before any task of ours is called, and `inv` is its own program.
    """
    last = trace
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    invokes = last is not None and last.tb_frame.f_globals.get("__name__", "").startswith("invoke.")
    if not (isinstance(error, ValueError) and invokes) or os.environ.get(DEBUG):
        sys.__excepthook__(kind, error, trace)
        return
    from cyan.terminal import show_error  # noqa: PLC0415 - rich is slow to import

    todo = "a flag, or an INVOKE_* variable, is no number where one is wanted: inv --help TASK"
    show_error(UsageError(str(error), todo=todo))
    sys.stderr.flush()
    os._exit(UsageError.exit_code)  # a hook cannot choose the exit code otherwise


def _tell(error: CyanError) -> None:
    if os.environ.get(DEBUG):
        raise error
    from cyan.terminal import show_error  # noqa: PLC0415 - rich is slow to import

    show_error(error)
    sys.exit(error.exit_code)


def _our_fault(error: Exception) -> CyanError:
    if os.environ.get(DEBUG):
        raise error
    return CyanError(
        f"this is a fault of cyan itself: {type(error).__name__}: {error}",
        todo=f"inv status says how things stand; {DEBUG}=1 shows the traceback, for a report",
    )


def _no_configuration() -> CyanError:
    return UsageError(
        "there is no cyan section in the configuration",
        where=f"{project_folder() / CONFIGURATION}",
        todo=f"copy {bundled(CONFIGURATION)} and change it; every key is commented there",
    )
