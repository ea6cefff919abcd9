from __future__ import annotations

import pytest

from tests.proof import synthetic


@pytest.fixture(scope="session")
def clean() -> synthetic.Run:
    """A clean run of 4,000 requests; frozen, so that tests may share it."""
    return synthetic.run()
