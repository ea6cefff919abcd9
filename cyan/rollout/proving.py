"""The proof of a deploy: what was seen is read, told in a line, and kept in a folder."""

from __future__ import annotations

import html
import json
import shlex
from dataclasses import replace
from string import Template
from typing import TYPE_CHECKING, Any

from cyan.errors import HostError
from cyan.hosts import site
from cyan.proxies import error_log
from cyan.rollout import witnessed
from cyan.rollout.logged import Log

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.rollout.job import Job
    from cyan.rollout.witnessed import Seen

FOLDER = "-deploy"
"""How the folder of a deploy's proof ends, in reports/."""

HISTORY = "deploys.html"


def seen(job: Job) -> Seen:
    """What users have seen since the job began, and before it for as long."""
    assert job.probe is not None  # noqa: S101 - for the type checker: see run.rotate
    ended = job.world.clock()
    since = 2 * job.begun - ended
    log = Log(job, since=since)
    # Before a take-over the proxy saw no user.
    first = ended if job.world.own else 0.0
    logs = witnessed.Logs(log.more(), _aborted(job, since), log.doubt, first)
    found = witnessed.seen(logs, job.probe, job.begun, ended)
    return replace(found, held=job.plan.run.waits)


def _aborted(job: Job, since: float) -> list[float]:
    """When the proxy gave up an answer; nothing where its container does not say."""
    try:
        proxy = site.proxy_of(job.host, job.settings, job.world)
        if not proxy:
            return []
        words = f"grep -e error -e {shlex.quote(error_log.ABORTED)}"
        told = f"{error_log.command(job.settings, proxy, since)} | {words} || true"
        return witnessed.aborted(error_log.lines(job.settings, job.host.run(told).stdout))
    except HostError:
        return []


def keep(job: Job, told: Seen, reports: Path, *, ok: bool) -> Path:
    """Keep the proof in a folder of `reports`, and all of them together; the folder. OSError."""
    run = job.plan.run
    folder = reports / f"{job.called}{FOLDER}"
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "app": job.settings.app,
        "host": job.host.name,
        "run": run.id,
        "what": run.what,
        "version": job.plan.target.version,
        "color": str(job.plan.target.color),
        "ok": ok,
        "fleet": _fleet(job),
    }
    made = witnessed.as_json(told, about)
    (folder / "proof.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(made), encoding="utf-8")
    (reports / HISTORY).write_text(history(read(reports)), encoding="utf-8")
    return folder


def _fleet(job: Job) -> dict[str, Any] | None:
    """With which hosts it was switched, when each, by our clock, and how far apart; alone: None."""
    if job.fleet is None:
        return None
    meeting = job.fleet.meeting
    renamed = {name: at - meeting.offsets[name] for name, at in meeting.renamed.items()}
    return {"renamed_at": renamed, "spread": meeting.spread, "behind": [*meeting.behind]}


def read(reports: Path) -> list[dict[str, Any]]:
    """The proofs that are kept, newest first; what is none is left out."""
    found = []
    for path in sorted(reports.glob(f"*{FOLDER}/proof.json"), reverse=True):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["schema"] == witnessed.SCHEMA:
                found.append(told | {"folder": path.parent.name})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def page(told: dict[str, Any]) -> str:
    """The page about one deploy."""
    rows = [
        ("requests of users", "n", "{:,}"),
        ("errors of the proxy's own", "by_proxy", "{:,}"),
        ("5xx of the application", "by_application", "{:,}"),
        ("answers cut short", "cut", "{:,}"),
        ("longest time without a good answer", "gap", "{:.3f} s"),
        ("p99", "p99", "{:.3f} s"),
    ]
    made = "".join(
        f"<tr><th scope=row>{name}</th><td>{form.format(told['during'][key])}</td>"
        f"<td>{form.format(told['before'][key])}</td></tr>"
        for name, key, form in rows
    )
    probe = told["probe"]
    asked = f"{probe['asked']} asked, {len(probe['failures'])} refused or not answered well"
    title = f"{told['what']} of {told['version']}{_ended(told)}"
    return _PAGE.substitute(
        title=_text(f"{title} on {told['host']}"),
        verdict=told["verdict"],
        sentence=_text(told["sentence"]),
        seconds=f"{told['during']['end'] - told['during']['start']:.1f}",
        fleet=_text(_together(told.get("fleet"))),
        rows=made,
        probe=_text(asked if probe["asked"] else probe["why_not"]),
        failures="".join(f"<li>{_text(each)}</li>" for each in probe["failures"][:100]),
        claims="".join(f"<li>{_text(each)}</li>" for each in told["not_claimed"]),
        all=f"../{HISTORY}",
    )


def _together(fleet: dict[str, Any] | None) -> str:
    """How the hosts of a fleet were switched, in a sentence; "" for one alone."""
    if not fleet or fleet["spread"] is None:
        return ""
    within = (
        f"{len(fleet['renamed_at'])} hosts were switched within {fleet['spread'] * 1000:.1f} ms"
    )
    behind = f"; {', '.join(fleet['behind'])} did not follow" if fleet["behind"] else ""
    return f"{within}{behind}."


def history(proofs: list[dict[str, Any]]) -> str:
    """The page about all deploys together."""
    rows = "".join(
        f"<tr><td><a href='{_text(each['folder'])}/report.html'>{_text(each['run'])}</a></td>"
        f"<td>{_text(each['what'])} {_text(each['version'])}{_ended(each)}</td>"
        f"<td>{_text(each['host'])}</td>"
        f"<td class={each['verdict']}>{each['verdict']}</td><td>{each['during']['n']:,}</td>"
        f"<td>{each['failed']:,}</td></tr>"
        for each in proofs
    )
    return _HISTORY.substitute(sentence=_text(together(proofs)), rows=rows)


def _ended(told: dict[str, Any]) -> str:
    return "" if told.get("ok", True) else ", which failed"


def together(proofs: list[dict[str, Any]]) -> str:
    """What the kept deploys say together."""
    users = sum(each["during"]["n"] for each in proofs)
    failed = sum(each["failed"] for each in proofs)
    return (
        f"{len(proofs):,} deploys and rollbacks; {users:,} requests of users while they happened; "
        f"{failed or 'none'} failed by them."
    )


def _text(text: object) -> str:
    return html.escape(str(text), quote=True)


_STYLE = """<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #14272e; background: #fbfdfd }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .35rem .6rem;
  border-bottom: 1px solid #cfdde1 } td { font-variant-numeric: tabular-nums }
.pass { color: #0b6b3a } .fail { color: #a3161d } .unknown { color: #75500a }
h1 { font-size: 1.4rem } .verdict { font-weight: 700; text-transform: uppercase }
a { color: #0a5a73 }
@media (prefers-color-scheme: dark) { body { color: #dbe8ec; background: #0f1a1e }
  th, td { border-color: #2c4149 } .pass { color: #6ed69d } .fail { color: #ff8f8f }
  .unknown { color: #e8c063 } a { color: #7fd0e8 } }
</style>"""

_PAGE = Template(
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
    "content='width=device-width'><title>$title</title>" + _STYLE + "<h1>$title</h1>"
    "<p><span class='verdict $verdict'>$verdict</span> $sentence</p>"
    "<table><thead><tr><th scope=col></th><th scope=col>during it, $seconds s</th>"
    "<th scope=col>as long before</th></tr></thead><tbody>$rows</tbody></table>"
    "<p>$fleet</p><h2>The probe</h2><p>$probe</p><ul>$failures</ul>"
    "<h2>What this does not claim</h2><ul>$claims</ul>"
    "<p><a href='$all'>all deploys</a></p></html>\n"
)

_HISTORY = Template(
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
    "content='width=device-width'><title>Deploys</title>" + _STYLE + "<h1>Deploys</h1>"
    "<p>$sentence</p><table><thead><tr><th scope=col>run</th><th scope=col>what</th>"
    "<th scope=col>host</th><th scope=col>verdict</th><th scope=col>requests</th>"
    "<th scope=col>failed by it</th></tr></thead><tbody>$rows</tbody></table></html>\n"
)
