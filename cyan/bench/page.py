"""The comparison as a table for the terminal and documents, as data, and as a page with charts."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import jinja2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cyan.bench.measure import Row
    from cyan.bench.options import Options
    from cyan.bench.ways import Way

HEADINGS = (
    "way",
    "drops per deploy",
    "longest gap",
    "p99 deploy / steady",
    "two versions answer",
    "deploy",
    "back",
    "unhealthy release",
    "app memory",
    "deployer",
)


def told(row: Row) -> str:
    """A way in a line."""
    return "; ".join(f"{name} {cell}" for name, cell in zip(HEADINGS[1:], cells(row), strict=True))


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells, without the way's name."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(row.drops.items()))
    per = row.dropped / row.deploys if row.deploys else math.nan
    cut = f"; {row.cut} streams cut" if row.cut else ""
    code = "?" if row.exit_code is None else row.exit_code
    return (
        f"{per:.3g}" + (f" ({kinds} in {row.deploys})" if kinds else f" of {row.n:,}") + cut,
        f"{row.gap_ms:,.0f} ms",
        f"{row.ratio:.1f} ({row.p99_ms:,.0f} / {row.steady_ms:,.0f} ms)",
        f"{row.both:.2f} s",
        f"{row.seconds:.1f} s",
        f"{row.back_seconds:.1f} s, {row.back_drops} drops",
        f"exit code {code}, {row.failed_drops} drops, {row.left} containers left",
        f"{row.app_memory / 2**20:,.0f} MiB",
        f"{row.memory / 2**20:,.0f} MiB, {row.cpu:.1f} CPU s",
    )


def table(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    lines += [f"| {' | '.join((row.name, *cells(row)))} |" for row in rows]
    return "\n".join(lines)


def write(folder: Path, rows: Sequence[Row], options: Options, ways: Mapping[str, Way]) -> None:
    """Write bench.json, bench.md and bench.html into the folder."""
    about = _about(options)
    made = {"schema": "cyan.bench/1", **about, "rows": [row.as_json() for row in rows]}
    (folder / "bench.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    facts = "\n".join(f"- {name}: {value}" for name, value in about.items())
    (folder / "bench.md").write_text(f"{table(rows)}\n\n{facts}\n", encoding="utf-8")
    text = _PAGE.render(
        headings=HEADINGS,
        rows=[(row, ways[row.name], cells(row)) for row in rows],
        about=about,
        most=max((row.dropped / max(row.deploys, 1) for row in rows), default=0) or 1,
        slowest=max((row.gap_ms for row in rows), default=0) or 1,
    )
    (folder / "bench.html").write_text(text, encoding="utf-8")


def _about(options: Options) -> dict[str, Any]:
    words = ["inv bench", f"--rotations={options.rotations}", f"--rate={options.rate:g}"]
    words += [f"--users={options.sessions}", f"--seed={options.seed}"]
    words += [f"--rtt={options.rtt * 1000:.0f}ms"] if options.rtt else []
    words += ["--fresh-connections"] if options.fresh else []
    words += ["--http2"] if options.http2 else []
    return {
        "run again": " ".join(words),
        "load": f"{options.rate:g} requests a second on {options.sessions} connections, "
        "none sent twice, each on its schedule",
        "round trip added": f"{options.rtt * 1000:.0f} ms" if options.rtt else "none",
        "connections": "a new one for each request" if options.fresh else "kept",
        "HTTP/2 over TLS": "some of the users" if options.http2 else "nobody",
        "machine": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "engine": _engine(),
        "cyan": version("cyan"),
    }


def _engine() -> str:
    words = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(  # noqa: S603 - our own words
        words, capture_output=True, text=True, check=False
    ).stdout.strip()


_PAGE = jinja2.Environment(autoescape=True).from_string("""\
<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>Ways to deploy, side by side</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 82rem; margin: 2rem auto; padding: 0 1rem;
  color: #14272e; background: #fbfdfd }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #cfdde1;
  vertical-align: top } td { font-variant-numeric: tabular-nums }
.wide { overflow-x: auto } .bar { height: .6rem; background: #0a5a73 }
.bad { background: #a3161d } .chart td, .chart th { border: 0; padding: .15rem .6rem }
tbody th { width: 15rem; overflow-wrap: anywhere } thead th { white-space: normal }
small { color: #46606a; font-weight: normal } td { min-width: 4.5rem }
@media (prefers-color-scheme: dark) { body { color: #dbe8ec; background: #0f1a1e }
  th, td { border-color: #2c4149 } small { color: #9fb6be } .bar { background: #7fd0e8 }
  .bad { background: #ff8f8f } }
</style>
<h1>Ways to deploy, side by side</h1>
<p>The same application, the same load, the same checks; each way as its own documentation says
it. Nothing is tuned against anybody.</p>
<h2>Drops per deploy, and the longest time without an answer</h2>
<table class=chart>
{% for row, way, _ in rows %}<tr><th scope=row>{{ row.name }}</th>
<td style="width:35%"><div class="bar bad"
 style="width:{{ (100 * row.dropped / (row.deploys or 1) / most) | round(1) }}%"></div></td>
<td>{{ (row.dropped / (row.deploys or 1)) | round(1) }}</td>
<td style="width:35%"><div class=bar style="width:{{ (100 * row.gap_ms / slowest) | round(1) }}%">
</div></td><td>{{ row.gap_ms | round | int }} ms</td></tr>
{% endfor %}</table>
<div class=wide><table><thead><tr>
{% for each in headings %}<th scope=col>{{ each }}</th>{% endfor %}
</tr></thead><tbody>
{% for row, way, cells in rows %}<tr><th scope=row>{{ row.name }}<br><small>{{ way.says }}<br>
{{ way.source }}</small></th>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<h2>What users were told</h2><ul>
{% for row, way, _ in rows if row.errors %}<li>{{ row.name }}: {{ row.errors | join("; ") }}</li>
{% endfor %}</ul>
<h2>How it was measured</h2><ul>
{% for name, value in about.items() %}<li>{{ name }}: {{ value }}</li>{% endfor %}</ul></html>
""")
