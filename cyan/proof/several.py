"""A verification of several hosts: each has a load and a verdict of its own, and all have one."""

from __future__ import annotations

import json
import math
import re
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cyan.errors import UsageError
from cyan.proof import asking, verify
from cyan.proof.findings import Verdict, worst
from cyan.proof.history import SECOND
from cyan.proof.page import page
from cyan.proof.relay.process import nobody
from cyan.proof.roaming import Roamed, Roamers
from cyan.proof.run import Part, run_on_all
from cyan.proof.statistics import upper_bound
from cyan.proof.verdict import based
from cyan.proof.wording import rate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from cyan.proof.asking import Options
    from cyan.proof.verdict import Judgement
    from cyan.sections import HostSettings
    from cyan.settings import Settings

SCHEMA = "cyan.fleet/1"


@dataclass(frozen=True)
class OfHost:
    """What was found of one host, and the folder of its own run."""

    host: str
    folder: str
    judgement: Judgement


@dataclass(frozen=True)
class Together:
    """What an act left on all hosts.

    `versions` are those that are live, by host; `spread_ms` is the time between the first and the
    last host's rename by their own clocks, `clocks_ms` how wrong that may be; NaN without a switch.
    """

    act: str
    versions: dict[str, str]
    spread_ms: float
    clocks_ms: float

    @property
    def agree(self) -> bool:
        """Whether all hosts have one version."""
        return len({*self.versions.values()}) == 1


@dataclass(frozen=True)
class OfAll:
    """The verdict on all hosts, and what it rests on."""

    verdict: Verdict
    sentence: str
    n: int
    drops: int
    bound: float
    hosts: tuple[OfHost, ...]
    acts: tuple[Together, ...]
    roamed: Roamed
    sticky: bool

    def as_json(self) -> dict[str, Any]:
        """For verdict.json."""
        return {
            "schema": SCHEMA,
            "verdict": str(self.verdict),
            "sentence": self.sentence,
            "requests": self.n,
            "drops": self.drops,
            "bound": self.bound,
            "hosts": [
                {
                    "host": each.host,
                    "run": each.folder,
                    "verdict": str(each.judgement.verdict),
                    "sentence": each.judgement.sentence,
                    "requests": each.judgement.n,
                    "drops": len(each.judgement.drops),
                }
                for each in self.hosts
            ],
            "acts": [
                {
                    "act": each.act,
                    "versions": each.versions,
                    "spread_ms": None if math.isnan(each.spread_ms) else each.spread_ms,
                    "clocks_ms": None if math.isnan(each.clocks_ms) else each.clocks_ms,
                }
                for each in self.acts
            ],
            "roaming": {**asdict(self.roamed), "judged": self.sticky},
        }


def judge(hosts: tuple[OfHost, ...], roamed: Roamed, *, sticky: bool = False) -> OfAll:
    """The worst of the hosts' verdicts; a fail where an act left them with different versions.

    So is a user who came to all hosts and was not answered, or, where sessions are `sticky`, by the
    old version again.
    """
    acts = _acts(hosts)
    apart = tuple(each for each in acts if not each.agree)
    verdict = worst(
        (
            *(each.judgement.verdict for each in hosts),
            *[Verdict.FAIL] * len(apart),
            _of_roamers(roamed, sticky=sticky),
        )
    )
    n = sum(each.judgement.n for each in hosts)
    drops = sum(len(each.judgement.drops) for each in hosts)
    bound = upper_bound(min(drops, n), n)
    more = "" if _of_roamers(roamed, sticky=sticky) is Verdict.PASS else roamed.sentence
    sentence = f"{_sentence(verdict, n, drops, hosts, acts)} {more}".strip()
    return OfAll(verdict, sentence, n, drops, bound, hosts, acts, roamed, sticky)


def _of_roamers(roamed: Roamed, *, sticky: bool) -> Verdict:
    if roamed.failures or (sticky and roamed.back):
        return Verdict.FAIL
    return Verdict.UNKNOWN if sticky and roamed.unknown else Verdict.PASS


def _acts(hosts: Sequence[OfHost]) -> tuple[Together, ...]:
    performed = zip(*(each.judgement.history.performed for each in hosts), strict=True)
    made = []
    for number, each in enumerate(performed):
        versions = {host.host: done.after.version for host, done in zip(hosts, each, strict=True)}
        made.append(Together(each[0].act.name, versions, *_spread(hosts, number)))
    return tuple(made)


def _spread(hosts: Sequence[OfHost], act: int) -> tuple[float, float]:
    """Between the first and the last rename of an act, and how wrong that may be; ms."""
    at, wrong = [], []
    for each in hosts:
        history = each.judgement.history
        window = history.windows()[act]
        within = (s.done_ns for s in history.switches if s.recorded)
        found = [ns for ns in within if window.start_ns <= ns <= window.end_ns]
        if not found:
            return math.nan, math.nan
        at.append(found[0])
        wrong.append(history.clock.uncertainty_ns)
    return (max(at) - min(at)) / SECOND * 1000, 2 * max(wrong) / SECOND * 1000


def _sentence(
    verdict: Verdict,
    n: int,
    drops: int,
    hosts: Sequence[OfHost],
    acts: Sequence[Together],
) -> str:
    spreads = [each.spread_ms for each in acts if not math.isnan(each.spread_ms)]
    within = f", which switched within {max(spreads):.1f} ms of each other," if spreads else ""
    if verdict is Verdict.PASS:
        return (
            f"Not one of {n:,} requests to {len(hosts)} hosts{within} was dropped in "
            f"{len(acts)} act{'' if len(acts) == 1 else 's'}."
            f"{based(hosts[0].judgement.measured_on)}"
        )
    apart = [f"after “{each.act}” the hosts differ: {_versions(each)}" for each in acts
             if not each.agree]  # fmt: skip
    bad = [
        f"{each.host}: {each.judgement.sentence}"
        for each in hosts
        if each.judgement.verdict is not Verdict.PASS
    ]
    said = f"{drops:,} of {n:,} requests were dropped. " if drops else ""
    of = f"{len(bad)} of {len(hosts)} hosts did not pass. " if bad else ""
    return said + of + " ".join((*apart, *bad))


def _versions(act: Together) -> str:
    return ", ".join(f"{host} {version or 'nothing'}" for host, version in act.versions.items())


def run(
    settings: Settings,
    machines: Sequence[HostSettings],
    project: Path,
    options: Options,
    console: Console,
) -> OfAll:
    """Hammer all hosts at once while the acts are performed on them; judge what was seen.

    Each host has its own folder under reports/, as if it had been verified alone, and all of them
    have one. Raises ProofError where nothing could be judged, UsageError for what needs one host.
    """
    from cyan.proof import live  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.host_under_test import HostUnderTest  # noqa: PLC0415 - as fabric is

    if options.remote:
        raise UsageError(
            "--workers have one host to load", todo=f"name it: --host {machines[0].name}"
        )
    asking.possible(settings, options)
    whole = asking.new_folder(project, "fleet")
    acts = asking.acts_of(settings, options, whole)
    share = replace(options, hosts=len(machines))
    folders = [_folder(whole, machine) for machine in machines]
    with ExitStack() as stack:
        url = stack.enter_context(nobody())
        systems = [stack.enter_context(HostUnderTest(settings, each)) for each in machines]
        parts = [
            Part(asking.prepared(settings, folder, project, acts, share, system, url, at), system)
            for folder, system, at in zip(folders, systems, machines, strict=True)
        ]
        roamers = Roamers(settings, [each.spec.load for each in parts])
        with live.shown(acts, console, *folders, watch=options.watch) as display:
            judged = run_on_all(parts, display, roamers)
    hosts = tuple(
        OfHost(machine.address, folder.name, judgement)
        for machine, folder, judgement in zip(machines, folders, judged, strict=True)
    )
    switches = max(len(each.judgement.history.switches) for each in hosts)
    roamed = roamers.judged(folders, switches)
    found = judge(hosts, roamed, sticky=settings.site.sticky)
    write(found, whole)
    _tell(found, whole, console)
    return found


def _folder(whole: Path, machine: HostSettings) -> Path:
    """reports/<time>-<address>-verify, for a run of its own."""
    stamp = whole.name.removesuffix("-fleet")
    address = re.sub(r"[^A-Za-z0-9.]+", "-", machine.address)
    return whole.with_name(f"{stamp}-{address}-verify")


def write(found: OfAll, folder: Path) -> None:
    """Write verdict.json and report.html into the folder of all."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found.as_json(), indent=1)
    (folder / "verdict.json").write_text(f"{text}\n", encoding="utf-8")
    (folder / "report.html").write_text(
        page("fleet.html.j2", found=found, nan=math.isnan), encoding="utf-8"
    )


def _tell(found: OfAll, folder: Path, console: Console) -> None:
    word = f"[bold {verify.STYLE[found.verdict]}]{str(found.verdict).upper()}[/]"
    console.print(f"\n{word}  {found.sentence}")
    if not found.drops:
        console.print(f"      [dim]the rate of drops is below {rate(found.bound)} at 95 %[/dim]")
    for each in found.hosts:
        style = verify.STYLE[each.judgement.verdict]
        dropped = f"{len(each.judgement.drops):,} of {each.judgement.n:,} dropped"
        console.print(f"      [{style}]{each.judgement.verdict}[/]  {each.host}: {dropped}")
    if found.roamed.sentence:
        console.print(f"      {found.roamed.sentence}")
    console.print(f"      [dim]report: {folder / 'report.html'}[/dim]")
    verify.tell_of_all(folder, console)
