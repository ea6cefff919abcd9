"""Faults of what both colors share: the proxy and the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cyan.chaos.fault import GONE, Expectation, Fault, switches
from cyan.chaos.moment import Moment, NotInjectedError
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from cyan.chaos.deploying import Deployer
    from cyan.chaos.hands import Site
    from cyan.chaos.scene import Scene

SLOWLY = ("--env", "FAULT=healthy-after=6")
ADMIN = "2019"
HOARDING = 60.0  # seconds that it may take to open every connection, on a busy machine


class Restarted(Fault):
    """A shared service is restarted while a deploy waits for its release."""

    group = "shared"
    seconds = 25
    passes = True
    service: ClassVar[str]
    grace: ClassVar[str] = "1"  # seconds until it is killed: the proxy waits for its streams
    outage: ClassVar[float]
    moment: ClassVar[Moment] = ("healthy", "step")

    @property
    def expects(self) -> Expectation:
        """The deploy goes on; users are dropped while it is away, and no longer."""
        return switches(outage=self.outage)

    def words(self, version: str) -> tuple[str, ...]:
        """Slowly enough to be hit."""
        return (*super().words(version), *SLOWLY)

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Restart it, and see that it is another process."""
        before = site.container(self.service)
        site.docker("restart", "-t", self.grace, before.id)
        if site.container(self.service).started_at == before.started_at:
            raise NotInjectedError(f"{before.name} was not restarted")

    def heal(self, site: Site) -> None:
        """Start it where it is not."""
        site.docker("start", site.container(self.service).id)

    def healed(self, site: Site) -> str:
        """Whether it is up."""
        found = site.container(self.service)
        return "" if found.up else f"{found.name} is {found.health or found.state}"


class ProxyRestarted(Restarted):
    """The proxy is restarted during a deploy: what it drops is bounded by the restart."""

    name = "proxy-restarted"
    service = "proxy"
    outage = 6.0


class DatabaseRestarted(Restarted):
    """The database is restarted during a deploy: what is dropped is bounded by the restart."""

    name = "database-restarted"
    service = "database"
    grace = "20"
    outage = 8.0


class DatabaseSlow(Fault):
    """The database answers writes late, for some seconds, while a deploy is under way."""

    name = "database-slow"
    group = "shared"
    lasts: ClassVar[int] = 3
    moment: ClassVar[Moment] = ("switch", "step")

    @property
    def expects(self) -> Expectation:
        """Everybody waits, and nobody is dropped."""
        return switches()

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Hold the orders' table."""
        query = f"BEGIN; LOCK TABLE orders; SELECT pg_sleep({self.lasts}); COMMIT"
        psql(site, query, wait=False)
        site.until(lambda: psql(site, HELD) != "0", "the table is held")

    def heal(self, site: Site) -> None:
        """End who holds it."""
        psql(site, _end("LOCK TABLE"))

    def healed(self, site: Site) -> str:
        """Whether nobody holds it."""
        return "" if psql(site, _count("LOCK TABLE")) == "0" else "the table is still held"


HELD = (
    "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' "
    "AND relation = 'orders'::regclass"
)
"""How many hold the orders' table against everybody."""


class ConnectionsExhausted(Fault):
    """The database takes no more connections while a deploy is under way."""

    name = "connections-exhausted"
    group = "shared"
    seconds = 30

    @property
    def expects(self) -> Expectation:
        """The standby cannot become healthy; the live color goes on with what it has."""
        says = ("", "did not become healthy|too many clients")
        return Expectation(Traffic.UNTOUCHED, ((0,), (1,)), says, outage=10.0, standby=GONE)

    @property
    def environment(self) -> dict[str, str]:
        """No longer than needed."""
        return {"HEALTH_CHECK_TIMEOUT": "8"}

    def play(self, scene: Scene, version: str) -> None:
        """Without a warm color, which would have connections."""
        with scene.deployer(("cleanup",)) as first:
            first.ends()
        super().play(scene, version)

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Let a neighbour open connections until there are none left."""
        color = site.live()
        words = ("--name", _hoarder(site), "--network", f"{site.settings.app}-{color}")
        container = site.container("database").id
        password = site.docker("exec", container, "printenv", "POSTGRES_PASSWORD").strip()
        given = {"DATABASE": DATABASE, "PGPASSWORD": password, "HOARD": HOARD}
        environment = [word for pair in given.items() for word in ("-e", "=".join(pair))]
        image = site.container(site.settings.public.service, color).image
        program = ("python3", "-c", "import os; exec(os.environ['HOARD'])")
        site.docker("run", "-d", "--rm", *words, *environment, image, *program)
        full = "no connection is left"
        site.until(lambda: "full" in site.docker("logs", _hoarder(site)), full, HOARDING)

    def heal(self, site: Site) -> None:
        """End the neighbour."""
        site.docker("rm", "-f", _hoarder(site), check=False)

    def healed(self, site: Site) -> str:
        """Whether the database takes connections."""
        return "" if psql(site, "SELECT 1", check=False) == "1" else "nobody can connect"


DATABASE = "host=database user=demo dbname=demo connect_timeout=3"
"""The demo's own: its port is published nowhere."""

HOARD = (
    "import psycopg, time, os\n"
    "held, until = [], time.monotonic() + 120\n"
    "while time.monotonic() < until:\n"
    "    try:\n"
    "        held.append(psycopg.connect(os.environ['DATABASE']))\n"
    "    except psycopg.OperationalError as error:\n"
    "        full = held and any(word in str(error) for word in ('too many', 'remaining'))\n"
    "        print('full' if full else error, flush=True)\n"
    "        time.sleep(0.2)\n"
)
"""Opens connections while there are some, and holds them; ends by itself after two minutes.

It says so where the server has no more: "sorry, too many clients already", or "remaining
connection slots are reserved".
"""


def _hoarder(site: Site) -> str:
    return f"{site.settings.app}-chaos-hoarder"


class AdminGone(Fault):
    """The proxy's admin API is gone while a color drains: the whole drain timeout is waited."""

    name = "admin-gone"
    group = "shared"
    moment: ClassVar[Moment] = ("healthy", "done")  # early enough for the drain's first reading

    @property
    def expects(self) -> Expectation:
        """The deploy goes on, and says that nobody knew what was in flight."""
        return switches("did not say what is in flight")

    @property
    def environment(self) -> dict[str, str]:
        """No longer than what is in flight takes."""
        return {"DRAIN_TIMEOUT": "6"}

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Refuse connections to it, in the proxy's own network."""
        site.inside(site.container(site.settings.proxy), "iptables", "-I", *self._rule)

    def heal(self, site: Site) -> None:
        """Take the refusal away."""
        if self.healed(site):
            site.inside(site.container(site.settings.proxy), "iptables", "-D", *self._rule)

    def healed(self, site: Site) -> str:
        """Whether there is no refusal."""
        rules = site.inside(site.container(site.settings.proxy), "iptables", "-S", "OUTPUT")
        return "the admin API is still refused" if f"--dport {ADMIN}" in rules else ""

    @property
    def _rule(self) -> tuple[str, ...]:
        return (
            "OUTPUT", "-p", "tcp", "--dport", ADMIN, "-j", "REJECT", "--reject-with", "tcp-reset",
        )  # fmt: skip


def psql(site: Site, query: str, *, wait: bool = True, check: bool = True) -> str:
    """What the demo's database answers."""
    words = ("psql", "-h", "/tmp", "-U", "demo", "-d", "demo", "-qAt", "-c", query)  # noqa: S108
    detached = () if wait else ("-d",)
    return site.docker("exec", *detached, site.container("database").id, *words, check=check)


def _others(text: str) -> str:
    return f"FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%{text}%'"


def _end(text: str) -> str:
    return f"SELECT pg_terminate_backend(pid) {_others(text)}"


def _count(text: str) -> str:
    return f"SELECT count(*) {_others(text)}"
