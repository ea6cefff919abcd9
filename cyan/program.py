"""The `cyan` command: Invoke's program on the tasks, as `inv` is in a project's folder."""

from __future__ import annotations

import sys

from invoke import Argument, Program
from invoke.exceptions import Exit, ParseError

from cyan.cli import project_folder
from cyan.tasks import namespace


class CyanProgram(Program):
    """Invoke's Program on our tasks, with the project's invoke.yaml; a bad flag exits with 2."""

    def core_args(self) -> list[Argument]:
        """Invoke's own, of which one has a shorter name: `cyan --completion bash`."""
        found: list[Argument] = super().core_args()
        for each in found:
            if "print-completion-script" in each.names:
                each.names = (*each.names, "completion")
        return found

    def print_version(self) -> None:
        """Print it; what knows it is slow to import."""
        from importlib.metadata import version  # noqa: PLC0415

        sys.stdout.write(f"cyan {version('cyan')}\n")

    def parse_collection(self) -> None:
        """Load the project's configuration, which a bundled namespace alone would not."""
        super().parse_collection()
        self.config.set_project_location(str(project_folder()))
        self.config.load_project()

    def parse_tasks(self) -> None:
        """Parse, and answer a wrong flag with exit code 2."""
        try:
            super().parse_tasks()
        except (ParseError, ValueError) as error:  # a ValueError: --rate soon
            raise Exit(str(error), code=2) from None


def main() -> None:
    """The console script."""
    CyanProgram(name="cyan", binary="cyan", namespace=namespace).run()
