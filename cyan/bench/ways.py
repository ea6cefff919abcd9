"""The ways that people deploy, each as its own documentation says it: files, and shell commands.

All of them run the demo's three services (compose/stateless.yml) beside one database, on this
machine's engine; in the project `cyan-bench-COLOR`, as a color of an application `cyan-bench`. What
differs is how the new version comes, and who leads users to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING

import yaml

from cyan.bench import certificate, one_node
from cyan.bench.certificate import CERTIFICATE, KEY, NAME

if TYPE_CHECKING:
    from pathlib import Path

APP = "cyan-bench"
PORT, TLS_PORT = 18980, 18981
WITHIN = 45  # seconds that a release may take to get healthy
SERVICES = ("rag", "platform", "crawler")  # what asks comes after whom it asks
PLACES = ("app", "blue", "green")
NGINX = "cyan-bench/nginx:1"
DOCKERFILE = """
FROM cyan-demo/base:trixie
RUN apt-get update -q && apt-get install -y -q --no-install-recommends nginx curl \\
 && rm -rf /var/lib/apt/lists/*
CMD ["nginx", "-c", "/etc/caddy/nginx.conf", "-g", "daemon off;"]
"""


@dataclass(frozen=True)
class Way:
    """One way: its name, what it is, and where it is described.

    `deploy`, `back` and `fails` are shell scripts: a deploy of $VERSION in the place of $OLD, the
    way back to $VERSION from $OLD, and the deploy of a release that never gets healthy. `proxy` are
    the files that its proxy reads; none where users come to the application's own port, or where
    cyan's lab is used: `lab`, with so many `hosts`, and settings of its own where they are `given`,
    by environment. `swarm`: on a node of a swarm, where its scripts' Docker commands go. `engine`
    is that of the demo as it would be without cyan, which is adopted: `cyan.bench.as_it_is`.
    """

    name: str
    says: str
    source: str
    deploy: str
    back: str = ""
    fails: str = ""
    proxy: tuple[tuple[str, str], ...] = ()
    image: str = "cyan-demo/proxy:1"
    lab: bool = False
    hosts: int = 1
    swarm: bool = False
    given: tuple[tuple[str, str], ...] = ()
    engine: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is cyan's own, whose scripts are its commands."""
        return self.lab or bool(self.engine)

    @property
    def takes_back(self) -> str:
        """How it goes back to the version before."""
        return self.back or self.deploy

    @property
    def failing(self) -> str:
        """How it deploys what never gets healthy."""
        return self.fails or f"export FAULT=never-healthy; {self.deploy}"


def over_tls(text: str) -> str:
    """A proxy's file whose site is there over TLS as well, with HTTP/2, on port 8443."""
    files = f"/etc/caddy/{CERTIFICATE}", f"/etc/caddy/{KEY}"
    if "listen 8080;" in text:  # nginx
        secure = "listen 8443 ssl http2; ssl_certificate {}; ssl_certificate_key {};".format(*files)
        return text.replace("listen 8080;", f"listen 8080; {secure}")
    site = f"https://{NAME}:8443 {{\n\ttls {' '.join(files)}\n"
    return text + text.replace(":8080 {\n", site)


def script(words: str) -> str:
    """A script with what all of them use: `dc PLACE WORDS` is Compose on what runs in a place."""
    return f"""\
set -eu
state() {{ cat state 2>/dev/null || echo none; }}
other() {{ if [ "$(state)" = blue ]; then echo green; else echo blue; fi; }}
dc() {{
  place=$1; shift
  APP={APP} COLOR=$place RELEASE=$place DEPLOYED_BY=bench DIRECTORY=$PWD \\
    docker compose --progress quiet -p {APP}-$place -f app.yml $ALSO "$@"
}}
proxy() {{ docker exec {APP}-proxy-1 "$@"; }}
{words}
"""


_RECREATE = f"dc app up -d --wait --wait-timeout {WITHIN}"

_SCALE = f"""
healthy() {{
  for _ in $(seq {WITHIN * 5}); do
    [ "$(docker inspect -f '{{{{.State.Health.Status}}}}' "$1")" = healthy ] && return
    sleep 0.2
  done
  return 1
}}
for service in {" ".join(SERVICES)}; do
  old=$(dc app ps -q $service)
  if [ -z "$old" ]; then
    dc app up -d --wait --no-deps $service
    continue
  fi
  dc app up -d --no-deps --no-recreate --scale $service=2 $service
  new=$(dc app ps -q $service | grep -v "$old")
  if ! healthy "$new"; then
    docker stop "$new" >/dev/null; docker rm "$new" >/dev/null
    echo "$service is not healthy; it was taken away again" >&2
    exit 1
  fi
  docker stop "$old" >/dev/null
  docker rm "$old" >/dev/null
done
"""

_FAILOVER = f"""
new=$(other)
dc $new up -d --wait --wait-timeout {WITHIN}
sleep 2 # two of its checks
[ "$(state)" = none ] || dc "$(state)" stop
echo $new >state
"""


def _reload(lead: str) -> str:
    return f"""
new=$(other)
dc $new up -d --wait --wait-timeout {WITHIN}
if [ "$(state)" = none ]; then # the configuration begins with this one
  echo $new >state
  exit
fi
{lead}
sleep 5
dc "$(state)" stop
echo $new >state
"""


_CADDY_RELOAD = _reload(
    'sed -i "s/reverse_proxy [a-z]*:8000/reverse_proxy $new:8000/" proxy/Caddyfile\n'
    "proxy caddy reload --config /etc/caddy/Caddyfile --adapter caddyfile >/dev/null 2>&1"
)
_NGINX_RELOAD = _reload(
    'sed -i "s#http://[a-z]*:8000#http://$new:8000#" proxy/nginx.conf\n'
    "proxy nginx -c /etc/caddy/nginx.conf -s reload 2>/dev/null"
)

_STACK = f"""
stack() {{ APP={APP} COLOR=app RELEASE=app DEPLOYED_BY=bench DIRECTORY=$PWD docker stack "$@"; }}
stack deploy -c stack.json --detach=false --resolve-image never {APP} 2>&1
"""
_STACK_BACK = f"for each in {' '.join(SERVICES)}; do docker service rollback {APP}_$each; done"

_CYAN = "exec $INV deploy --version $VERSION"

_ASKED = (
    (
        "Caddyfile",
        (
            ":8080 {\n\treverse_proxy {\n\t\tdynamic a {\n\t\t\tname app\n\t\t\tport 8000\n"
            "\t\t\trefresh 1s\n\t\t}\n\t\tlb_try_duration 5s\n\t}\n}\n"
        ),
    ),
)
"""Caddy asks the engine's DNS for every container that answers to `app`."""

WAYS = (
    Way(
        "recreate",
        "docker compose up -d with the new tag: what most do",
        "https://docs.docker.com/compose/how-tos/production/",
        _RECREATE,
    ),
    Way(
        "scale-up",
        "scale to two, wait for health, stop the old: docker-rollout's way, behind Caddy",
        "https://github.com/wowu/docker-rollout",
        _SCALE,
        proxy=_ASKED,
    ),
    Way(
        "health failover",
        "two upstreams, lb_policy first, active health checks, the old color stopped",
        "https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#active-health-checks",
        _FAILOVER,
        proxy=(
            (
                "Caddyfile",
                (
                    ":8080 {\n\treverse_proxy blue:8000 green:8000 {\n\t\tlb_policy first\n"
                    "\t\tlb_try_duration 5s\n\t\thealth_uri /ready\n\t\thealth_interval 1s\n"
                    "\t\thealth_timeout 2s\n\t\tfail_duration 2s\n\t}\n}\n"
                ),
            ),
        ),
    ),
    Way(
        "caddy reload",
        "the upstream rewritten, caddy reload, the old color stopped 5 s later",
        "https://caddyserver.com/docs/command-line#caddy-reload",
        _CADDY_RELOAD,
        proxy=(("Caddyfile", ":8080 {\n\treverse_proxy blue:8000\n}\n"),),
    ),
    Way(
        "nginx reload",
        "the upstream rewritten, nginx -s reload, the old color stopped 5 s later",
        "https://nginx.org/en/docs/control.html",
        _NGINX_RELOAD,
        proxy=(
            (
                "nginx.conf",
                (
                    "worker_processes auto;\nevents {}\nhttp {\n"
                    "  map $http_upgrade $upgrade { '' ''; default upgrade; }\n"
                    "  server {\n    listen 8080;\n    location / {\n"
                    "      proxy_pass http://blue:8000;\n      proxy_http_version 1.1;\n"
                    "      proxy_set_header Host $http_host;\n"
                    "      proxy_set_header Upgrade $http_upgrade;\n"
                    "      proxy_set_header Connection $upgrade;\n"
                    "      proxy_read_timeout 1h;\n    }\n  }\n}\n"
                ),
            ),
        ),
        image=NGINX,
    ),
    Way(
        "swarm",
        "docker stack deploy: start-first, failure_action rollback, dnsrr, behind Caddy",
        "https://docs.docker.com/engine/swarm/stack-deploy/",
        _STACK,
        back=_STACK_BACK,
        fails=f"export FAULT=never-healthy; {_STACK}",
        proxy=_ASKED,
        swarm=True,
    ),
    Way(
        "cyan",
        "inv deploy, inv rollback",
        "README.md",
        _CYAN,
        back="exec $INV rollback",
        fails=f"export HEALTH_CHECK_TIMEOUT={WITHIN}; {_CYAN} --env FAULT=never-healthy",
        lab=True,
    ),
    Way(
        "cyan nginx",
        "the same with nginx as the proxy",
        "docs/nginx.md",
        _CYAN,
        back="exec $INV rollback",
        fails=f"export HEALTH_CHECK_TIMEOUT={WITHIN}; {_CYAN} --env FAULT=never-healthy",
        lab=True,
        given=(
            ("INVOKE_CYAN_PROXY", "nginx"),
            ("INVOKE_CYAN_COMPOSE_STATEFUL", "compose/nginx.yml"),
        ),
    ),
    Way(
        "cyan hold",
        "the same with strategy: hold, one color at a time",
        "docs/hold.md",
        f"{_CYAN} --strategy hold",
        back="exec $INV rollback --strategy hold",
        fails=f"{_CYAN} --strategy hold --env FAULT=never-healthy",
        lab=True,
    ),
    Way(
        "cyan three hosts",
        "the same on three hosts that switch together, a third of the users at each",
        "docs/fleet.md",
        _CYAN,
        back="exec $INV rollback",
        fails=f"export HEALTH_CHECK_TIMEOUT={WITHIN}; {_CYAN} --env FAULT=never-healthy",
        lab=True,
        hosts=3,
    ),
    Way(
        "cyan adopted",
        "the demo as it would be without cyan, one plain Compose file, adopted by cyan init",
        "docs/adopt.md",
        _CYAN,
        back="exec $INV rollback",
        fails=f"export HEALTH_CHECK_TIMEOUT={WITHIN}; {_CYAN} --env FAULT=never-healthy",
        engine="docker",
    ),
    Way(
        "cyan swarm",
        "the same on a swarm of one node, two stacks of which one is live",
        "docs/swarm.md",
        _CYAN,
        back="exec $INV rollback",
        fails=f"export HEALTH_CHECK_TIMEOUT={WITHIN}; {_CYAN} --env FAULT=never-healthy",
        engine="swarm",
    ),
)
BY_NAME = {way.name: way for way in WAYS}


def write(way: Way, folder: Path, project: Path) -> None:
    """Lay out what a way needs in `folder`: Compose files, secrets, its proxy's configuration."""
    (folder / "app.yml").write_text((project / "compose/stateless.yml").read_text())
    (folder / "logs").mkdir()
    (folder / "logs").chmod(0o777)
    for place in PLACES:
        secrets = folder / "releases" / place
        secrets.mkdir(parents=True)
        (secrets / "secrets.env").write_text("PGPASSWORD=bench\n")
    (folder / "ports.yml").write_text(
        json.dumps({"services": {"platform": {"ports": [f"127.0.0.1:{PORT}:8000"]}}})
    )
    (folder / "proxy").mkdir()
    for name, text in way.proxy:
        (folder / "proxy" / name).write_text(over_tls(text))
    certificate.write(folder / "proxy")
    (folder / "shared.yml").write_text(_SHARED.substitute(app=APP))
    made = {
        "services": {
            "proxy": {
                "image": way.image,
                "volumes": [f"{folder}/proxy:/etc/caddy:ro"],
                "ports": [f"127.0.0.1:{PORT}:8080", f"127.0.0.1:{TLS_PORT}:8443"],
                "networks": [*PLACES],
            }
        },
        "networks": {each: {"name": f"{APP}-{each}", "external": True} for each in PLACES},
    }
    (folder / "proxy.yml").write_text(json.dumps(made))
    open_ = ((8080, PORT), (8443, TLS_PORT))
    ports = [{"target": own, "published": at, "mode": "host"} for own, at in open_]
    proxy = {"image": way.image, "volumes": [f"{folder}/proxy:/etc/caddy:ro"], "ports": ports}
    database = yaml.safe_load(_SHARED.substitute(app=APP))["services"]["database"]
    text = one_node.stack_file((folder / "app.yml").read_text(), database, proxy)
    (folder / "stack.json").write_text(text)


_SHARED = Template("""\
services:
  database:
    image: cyan-demo/database:1
    environment: {POSTGRES_USER: demo, POSTGRES_DB: demo, POSTGRES_PASSWORD: bench}
    tmpfs: [/tmp, /run/postgresql]
    networks: [app, blue, green]
    healthcheck:
      test: [CMD, pg_isready, -h, 127.0.0.1, -U, demo]
      interval: 5s
      start_period: 60s
      start_interval: 200ms
networks:
  app: {name: $app-app}
  blue: {name: $app-blue}
  green: {name: $app-green}
""")
