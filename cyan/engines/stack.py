"""The commands of a color that is a stack of Docker Swarm, built here as data and run by its host.

Its host is a manager. What runs once, and what migrates, is a container there, by Compose, as
anywhere; the rest of a color is spread over the nodes.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.application.stack_file import REPLICAS
from cyan.engines import compose

if TYPE_CHECKING:
    from pathlib import PurePosixPath

NAMESPACE = "com.docker.stack.namespace"
LONGEST = 120  # seconds that the removal of a stack may take beyond its containers' own time


@dataclass(frozen=True)
class Stack(compose.Project):
    """A color's stack, and the Compose project beside it, of one name."""

    @property
    def stack(self) -> PurePosixPath:
        """The stack's file, on the host."""
        return self.folder / "stack.json"

    @property
    def resting(self) -> PurePosixPath:
        """The file that leaves what takes work by itself without a replica."""
        return self.folder / "resting.json"

    @property
    def pins(self) -> PurePosixPath:
        """The file that holds each service of the stack to its image."""
        return self.folder / "pins.json"

    def up(self, services: tuple[str, ...] = (), *, within: float = 0) -> str:
        """Start the stack, but for what rests in it; `services` run once before, by Compose.

        Where one of these ends badly the rest is not started: whoever looks sees how it ended.
        """
        files = [w for path in (self.stack, self.pins, self.resting) for w in ("-c", str(path))]
        flags = ("--detach=true", "--prune", "--with-registry-auth", "--resolve-image", "never")
        deploy = (
            f"{shlex.join(('docker', 'stack', 'deploy', *flags, *files, self.name))} >/dev/null"
        )
        if not services:
            return deploy
        listed = self._compose(self._pinned, ("ps", "-aq", *services))
        ended = f"timeout {math.ceil(within)} docker wait $({listed})"
        once = super().start(services)
        return f'{once} && codes=$({ended}) && case "$codes" in *[1-9]*) ;; *) {deploy} ;; esac'

    def create(self, services: tuple[str, ...]) -> str:
        """Nothing: who rests is in the stack, without a replica."""
        del services
        return "true"

    def start(self, services: tuple[str, ...]) -> str:
        """Have as many replicas of `services` as they are defined to have."""
        return scaled_up(self.name, services)


def scaled_up(name: str, services: tuple[str, ...]) -> str:
    """Have as many replicas of a stack's services as their definition says."""
    form = shlex.quote(f'{{{{index .Spec.Labels "{REPLICAS}"}}}}')
    called = " ".join(shlex.quote(f"{name}_{each}") for each in services)
    return (
        f"for each in {called}; do n=$(docker service inspect --format {form} $each) && "
        "docker service scale -d $each=$n >/dev/null || exit 1; done"
    )


def stop(name: str, grace: int | None, services: tuple[str, ...] = ()) -> str:
    """End services of a stack, or all, and wait until they have; then its containers as well."""
    called = " ".join(shlex.quote(f"{name}_{each}") for each in services)
    running = _there("docker service ps", '"$@"', running=True)
    waiting = shlex.quote(f"while {running}; do sleep 0.2; done") + ' sh "$@"'
    ended = (
        f"set -- {called or f'$({_services(name)})'}; "
        "for each; do docker service scale -d $each=0 >/dev/null || exit 1; done; "
        f"[ $# = 0 ] || {_waited(waiting, name, grace)}"
    )
    # only what runs once is a container of the project, and that ends by itself
    return f"sh -c {shlex.quote(ended)}" + ("" if services else f" && {compose.stop(name, grace)}")


def removed(name: str, grace: int) -> str:
    """Remove a stack, and wait until nothing is left of it; nothing where there is none."""
    quoted = shlex.quote(name)
    there = _there("docker stack ps", quoted)
    waiting = shlex.quote(f"while {there}; do sleep 0.2; done")
    return (
        f'if [ "$({_services(name)})" ]; then docker stack rm {quoted} >/dev/null && '
        f"{_waited(waiting, name, grace)}; fi"
    )


def down(name: str, grace: int) -> str:
    """Remove a stack and its containers by its name alone."""
    return f"{removed(name, grace)} && {compose.down(name, grace)}"


def labelled(label: str) -> str:
    """The shell command that says which node an application's data are on: this one."""
    own = "$(docker info --format '{{.Swarm.NodeID}}')"
    return f"docker node update --label-add {shlex.quote(label)}=here {own} >/dev/null"


JUDGED = r"""
$2 ~ /^(Complete|Failed|Running)/ { well[$1] = 1 }
$2 ~ /^Rejected/ { ill[$1] = $3 }
{ all[$1] = 1 }
END {
  for (node in all)
    if (node in well) continue
    else if (node in ill) print "ill", node ": " ill[node]
    else print "waits", node " did not say within its time"
}
"""
"""What became of a job by node, from lines of node, state and error: who ran it has its image."""


def fetched(docker: str, app: str, image: str, within: float) -> str:
    """The script that has every node fetch an image, and prints `NODE: WHY` where it did not.

    By a job that each runs once: with no more than its start the image is there. `docker` is how
    docker is called.
    """
    label, name = f"cyan.fetch={app}", f"cyan-fetch-{app}"
    flags = (
        *("--detach", "--quiet", "--mode", "global-job", "--restart-condition", "none"),
        *("--with-registry-auth", "--no-resolve-image", "--entrypoint", "true"),
    )
    create = shlex.join(("service", "create", *flags, "--label", label, "--name", name, image))
    form = shlex.quote("{{.Node}}\t{{.CurrentState}}\t{{.Error}}")
    asked = f"docker service ps --no-trunc --format {form} {name}"
    said = f"{asked} | awk -F'\t' {shlex.quote(JUDGED)}"
    left = f"docker service ls -q --filter label={label} | xargs -r docker service rm >/dev/null"
    return (
        f"{left}; {docker} {create} >/dev/null || exit 1; "
        f"end=$(($(date +%s) + {math.ceil(within)})); sleep 0.5; "
        f"while said=$({said}); asked=$({asked} | head -n 1); "
        '[ -z "$asked" ] || echo "$said" | grep -q ^waits; '
        f"do [ $(date +%s) -lt $end ] || break; sleep 0.5; done; {left}; "
        'echo "$said" | sed "s/^ill //; s/^waits //"'
    )


def _there(listed: str, what: str, *, running: bool = False) -> str:
    """Succeeds while tasks are there, or `running`, on nodes that are: of a lost one they stay.

    Nobody can end those, and Swarm says for a day how they were.
    """
    tasks = f"{listed} --format 'task {{{{.Node}}}} {{{{.CurrentState}}}}' {what} 2>/dev/null"
    nodes = "docker node ls --format 'node {{.Hostname}} {{.Status}}'"
    state = '$3 == "Running"' if running else "1"
    judged = (
        '$1 == "node" { down[$2] = $3 == "Down" } '
        f'$1 == "task" && {state} && !down[$2] {{ n = 1 }} END {{ exit !n }}'
    )
    return f"{{ {nodes}; {tasks}; }} | awk {shlex.quote(judged)}"


def _services(name: str) -> str:
    label = shlex.quote(f"label={NAMESPACE}={name}")
    return f"docker service ls --filter {label} --format '{{{{.Name}}}}' 2>/dev/null"


def _waited(waiting: str, name: str, grace: int | None) -> str:
    """Wait by a script, quoted, at most so long as it may take; what has not ended is told."""
    within = LONGEST + (grace or 0)
    told = shlex.quote(f"what Docker Swarm has of {name} has not ended within {within} s")
    return f"timeout {within} sh -c {waiting} || {{ echo {told} >&2; false; }}"
