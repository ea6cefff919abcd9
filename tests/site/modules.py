"""Loads a module of compose/site, which is copied into an image and is no package."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).parents[2] / "compose" / "site"


@cache
def site_module(name: str) -> ModuleType:
    """The module `name` of the demo application."""
    spec = importlib.util.spec_from_file_location(f"demo_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
