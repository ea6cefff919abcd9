"""Applications that others could have written prove their own deploys, and find what is planted."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.lab.foreign_apps import Foreign, foreign

__all__ = ["foreign"]

pytestmark = pytest.mark.lab


def proven(
    app: Foreign, *words: str, load: str = "", application: str = ""
) -> tuple[int, dict[str, Any]]:
    """Verify its own deploys, briefly: the exit code, and the verdict."""
    path = app.folder / "invoke.yaml"
    made = yaml.safe_load(path.read_text())
    made["cyan"]["verify"] = {
        "steady": 4, "gap": 2, "rate": 60, "sessions": 10, "application": application
    }  # fmt: skip
    if load:
        (app.folder / "load.yaml").write_text(load)
        made["cyan"]["verify"]["load"] = "load.yaml"
    path.write_text(yaml.safe_dump(made))
    wanted = ("verify-zero-downtime", "--quick", "--versions", "v1,v2", *words)
    done = app.cyan(*wanted, check=False)
    (newest,) = sorted(app.folder.glob("reports/*-verify/verdict.json"))[-1:]
    verdict = json.loads(newest.read_text())
    assert verdict["sentence"] in " ".join(done.stdout.split())
    return done.returncode, verdict


CUT = "requests: [{path: /, weight: 40}, {path: /cut}]"


@pytest.mark.parametrize(
    "foreign", ["chunked", pytest.param("chunked@nginx", marks=pytest.mark.nightly)], indirect=True
)
def test_it_proves_its_own_deploys(foreign: Foreign) -> None:
    foreign.adopt()
    assert "deploy a version first" in foreign.cyan(
        "verify-zero-downtime", "--versions", "v1,v2", check=False
    ).stderr  # fmt: skip
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    code, verdict = proven(foreign, application="request.id")
    assert (code, verdict["verdict"], verdict["drops"]) == (0, "pass", 0), verdict["sentence"]
    assert verdict["basis"] == (
        "on client, proxy and application; not looked at: writes lost or doubled"
    )
    acts = {act["name"]: act for act in verdict["acts"]}
    assert (acts["never healthy"]["exit_code"], acts["never healthy"]["must_fail"]) == (1, True)
    answered = {(each["color"], each["version"]) for each in acts["deploy v2"]["answers"]}
    assert len(answered) == 2
    assert {version for _, version in answered} == {"v1", "v2"}


TWICE = "requests: [{path: /, weight: 40}, {path: /twice}]"


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["chunked"], indirect=True)
def test_what_it_does_twice_is_found_where_its_log_is_a_witness(foreign: Foreign) -> None:
    foreign.adopt()
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    code, verdict = proven(foreign, load=TWICE, application="request.id")
    assert (code, verdict["verdict"]) == (1, "fail"), verdict["sentence"]
    found = {each["kind"] for each in verdict["checks"] if each["verdict"] == "fail"}
    assert found == {"executed twice"}
    code, verdict = proven(foreign, load=TWICE)
    assert (code, verdict["basis"]) == (0, (
        "on client and proxy; not looked at: what was executed twice, writes lost or doubled"
    ))  # fmt: skip


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["chunked", "chunked@nginx", "chunked@newer"], indirect=True)
def test_a_chunked_answer_that_the_application_cut_is_found(foreign: Foreign) -> None:
    foreign.adopt()
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    code, verdict = proven(foreign, load=CUT)
    found = {each["check"] for each in verdict["checks"] if each["verdict"] == "fail"}
    assert (code, found) == (1, {"truncated"})  # although Caddy ended it as if it were whole
    assert 0 < verdict["drops"] < verdict["requests"] // 20


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["flask"], indirect=True)
def test_a_ledger_of_its_own_finds_lost_writes(foreign: Foreign) -> None:
    """The application knows no request ids: the body holds it, and the database keeps that."""
    foreign.adopt()
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    path = foreign.folder / "invoke.yaml"
    ask = (
        "docker exec cyan-foreign-flask-db-1 sh -c 'PGPASSWORD=$POSTGRES_PASSWORD psql "
        '-h 127.0.0.1 -U shop -d shop -Atc "select id from shop_orders"\''
    )
    shapes = [
        {"path": "/", "weight": 3},
        {"path": "/orders", "method": "POST", "body": "{request_id}", "writes": True},
    ]
    for query, wanted in ((ask, "pass"), (f"{ask} | sed 1~50d", "fail")):
        (foreign.folder / "load.yaml").write_text(yaml.safe_dump({"requests": shapes}))
        made = yaml.safe_load(path.read_text())
        verify = {"steady": 4, "gap": 2, "rate": 60, "load": "load.yaml", "ledger": query}
        made["cyan"]["verify"] = verify
        path.write_text(yaml.safe_dump(made))
        words = ("verify-zero-downtime", "--quick", "--versions", "v1,v2")
        foreign.cyan(*words, check=False)
        (newest,) = sorted(foreign.folder.glob("reports/*-verify/verdict.json"))[-1:]
        verdict = json.loads(newest.read_text())
        assert verdict["verdict"] == wanted, verdict["sentence"]
        found = {each["check"] for each in verdict["checks"] if each["verdict"] == "fail"}
        assert found == (set() if wanted == "pass" else {"lost write"})
