"""The proxy's container, in the shell's words."""

from __future__ import annotations

import shlex


def running(project: str, service: str) -> str:
    """The shell's word for the id of a shared service's running container."""
    labels = (f"com.docker.compose.project={project}", f"com.docker.compose.service={service}")
    filters = " ".join(f"--filter {shlex.quote(f'label={label}')}" for label in labels)
    return f"$(docker ps -q {filters})"
