"""Processor and memory of the host, the proxy and both colors while a run went on: pure.

What is in a container is known by the control group of its processes, and counted by theirs: not
every kernel counts a group's memory, and an engine that is asked each second is a load of its own.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cyan.names import Color
from cyan.proof.history import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cyan.settings import Settings

NAME = "resources.tsv"
PROGRAMS = "dockerd|containerd|containerd-sh.*|docker-proxy|podman|conmon|netavark|aardvark-dns"
"""The programs of an engine, as the kernel names them, in its first 15 characters."""

BLUE, GREEN, PROXY, SHARED, OTHERS, ENGINES, REST = (
    "blue",
    "green",
    "proxy",
    "shared services",
    "other containers",
    "the engine",
    "everything else",
)
GROUPS = (BLUE, GREEN, PROXY, SHARED, OTHERS, ENGINES, REST)
"""What the host's work is told by: the application's own first."""

COMPOSE = "com.docker.compose"
LABELS = ("cyan.app", "cyan.color", f"{COMPOSE}.project", f"{COMPOSE}.service")
"""By which it is known what a container is of."""

_COUNT = r"""
/^\/proc/ { split($0, part, /[\/:]/); if (!(part[3] in of)) of[part[3]] = part[5]; next }
{
  pid = $1; from = index($0, "("); to = match($0, /\)[^)]*$/)
  name = substr($0, from + 1, to - from - 1)
  split(substr($0, to + 2), is, " ")
  who = pid in of ? of[pid] : name ~ /^(ENGINE)$/ ? "engine" : ""
  if (who == "") next
  ticks[who] += is[12] + is[13] + (who == "engine" ? 0 : is[14] + is[15]); pages[who] += is[22]
}
END { for (who in ticks) printf "p %s %.0f %.0f\n", who, ticks[who], pages[who] }
"""
"""Sums up what processes used, by container: `/proc/PID/cgroup:CONTAINER`, then /proc/PID/stat.

Of a container in a container the outer one counts, which is the first that is named.
After a name in brackets, which may hold anything, its fields 14 to 17 are the clock ticks of it and
of its ended children, and 24 the pages that are resident: proc_pid_stat(5). A container that ends
is its engine's child: what it did in its life is not told as the engine's work of that second.
"""


def command(seconds: int) -> str:
    """The shell command that prints, once a second for so many seconds, what is used.

    `h TICKS PAGE CORES` first; then of each look `s NS BUSY TOTAL AVAILABLE` (ticks of all cores,
    KiB), and `p WHO TICKS PAGES` for each container and for the engine. Each container is told of
    once: `c ID APP COLOR PROJECT SERVICE`, `-` for what it has not.
    """
    labels = " ".join(f'{{{{or (index .Config.Labels "{name}") "-"}}}}' for name in LABELS)
    inspect = ("docker", "inspect", "--format", f"c {{{{.Id}}}} {labels}")
    counted = shlex.quote(_COUNT.replace("ENGINE", PROGRAMS))
    busy = "'/^cpu /{printf \"%.0f\", $2+$3+$4+$7+$8+$9; exit}'"
    memory = "'/^MemTotal/{t=$2} /^MemAvailable/{print t, $2; exit}'"
    return f"""
echo "h $(getconf CLK_TCK) $(getconf PAGESIZE) $(nproc)"; known=' '; n=0
while [ $n -lt {seconds} ]; do
  n=$((n + 1))
  echo "s $(date +%s%N) $(awk {busy} /proc/stat) $(awk {memory} /proc/meminfo)" || exit 0
  looked=$({{ grep -m1 -HoE '[0-9a-f]{{64}}' /proc/[0-9]*/cgroup
    cat /proc/[0-9]*/stat; }} 2>/dev/null | awk {counted}) && echo "$looked"
  for each in $(echo "$looked" | awk 'length($2) == 64 {{ print $2 }}'); do
    case $known in *" $each "*) ;; *) known="$known$each "
      {shlex.join(inspect)} "$each" 2>/dev/null ;; esac
  done
  sleep 1
done"""


@dataclass(frozen=True)
class Resources:
    """What was used, between looks: `at_ns` (int64, the host's clock) ends each stretch.

    `cores` are how many cores' worth of work each of GROUPS did, `resident` how many bytes it had
    then; of `everything else` that is what of the host's memory nobody else accounts for. One
    value per stretch. `of` is how many cores there are, `total` the host's memory in bytes.
    """

    at_ns: npt.NDArray[np.int64]
    cores: Mapping[str, npt.NDArray[np.float64]]
    resident: Mapping[str, npt.NDArray[np.float64]]
    of: int
    total: int

    def during(self, instant_ns: int) -> Mapping[str, float] | None:
        """How many cores each group used in the stretch that holds an instant of the host's."""
        place = int(np.searchsorted(self.at_ns, instant_ns))
        if place >= len(self.at_ns) or not self._near(place, instant_ns):
            return None
        return {name: float(values[place]) for name, values in self.cores.items()}

    def _near(self, place: int, instant_ns: int) -> bool:
        before = self.at_ns[place - 1] if place else self.at_ns[place] - 2 * SECOND
        return bool(before <= instant_ns)


def header(settings: Settings) -> str:
    """The line by which a container is known: the application, its project, its proxy's, that."""
    project = settings.adopted.project if settings.adopted else settings.app
    return f"a {settings.app} {project} {settings.proxy_project} {settings.proxy}"


def parse(lines: Iterable[str]) -> Resources | None:
    """A header and what `command` printed; None where it did not look twice.

    A torn line is left out.
    """
    told = _Told()
    for line in lines:
        told.take(line.split())
    return told.made()


class _Told:
    """What has been read so far."""

    def __init__(self) -> None:
        self._app = self._project = self._front = self._proxy = ""
        self._units = (100, 4096, 1)
        self._groups: dict[str, str] = {"engine": ENGINES}
        self._looks: list[tuple[int, int, int, int]] = []
        self._used: list[dict[str, tuple[int, int]]] = []

    def take(self, words: list[str]) -> None:
        try:
            match words:
                case ["a", *names]:
                    self._app, self._project, self._front, self._proxy = names
                case ["h", *units]:
                    ticks, page, cores = (int(each) for each in units)
                    self._units = (ticks, page, cores)
                case ["s", *values]:
                    at, busy, total, available = (int(each) for each in values)
                    self._looks.append((at, busy, total, available))
                    self._used.append({})
                case ["p", who, ticks, pages]:
                    self._used[-1][who] = (int(ticks), int(pages))
                case ["c", number, *labels]:
                    self._groups[number] = self._group(*labels)
        except (ValueError, IndexError, TypeError):
            return

    def _group(self, app: str, color: str, project: str, service: str) -> str:
        if app == self._app and color in set(Color):
            return color
        if (project, service) == (self._front, self._proxy):
            return PROXY
        return SHARED if project == self._project else OTHERS

    def made(self) -> Resources | None:
        if len(self._looks) < 2:  # noqa: PLR2004 - what is between two
            return None
        tick, page, of = self._units
        looks = np.array(self._looks, dtype=np.int64)
        took = np.diff(looks[:, 0]) / SECOND
        cores = {name: np.zeros(len(took)) for name in GROUPS}
        resident = {name: np.zeros(len(took)) for name in GROUPS}
        for place, (before, after) in enumerate(zip(self._used, self._used[1:], strict=False)):
            for who, (ticks, pages) in after.items():
                group = self._groups.get(who, OTHERS)
                spent = max(0, ticks - before.get(who, (ticks if who == "engine" else 0, 0))[0])
                cores[group][place] += spent / tick / took[place]
                resident[group][place] += pages * page
        busy = np.diff(looks[:, 1]) / tick / took
        used = (looks[1:, 2] - looks[1:, 3]) * 1024.0
        for of_all, parts in ((busy, cores), (used, resident)):
            named = sum(parts.values())
            parts[REST] = np.maximum(0.0, of_all - named)
        return Resources(looks[1:, 0], cores, resident, of, int(looks[-1, 2]) * 1024)
