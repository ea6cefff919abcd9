"""Experiments as data: what is written can be read, by us and by Chaos Toolkit."""

from __future__ import annotations

import pytest
import yaml

from cyan.chaos import actions, experiment
from cyan.chaos.catalogue import BY_NAME, fault
from cyan.chaos.draw import Drawn
from cyan.errors import UsageError

KILLED = Drawn("deployer-killed", 0, (("moment", "drain step"),))


def written(drawn: Drawn = KILLED) -> str:
    return experiment.write(fault(drawn.name, dict(drawn.values)), drawn, "v2")


@pytest.mark.parametrize("name", BY_NAME)
def test_every_fault_has_an_experiment_that_ends_with_its_healing(name: str) -> None:
    told = experiment.read(written(Drawn(name)))
    assert [each.func for each in told.hypothesis] == ["whole"]
    assert [each.func for each in told.method] == ["play"]
    assert [each.func for each in told.rollbacks] == ["heal"]
    assert told.method[0].arguments["fault"] == name


def test_an_experiment_has_the_keys_that_chaos_toolkit_wants() -> None:
    kept = yaml.safe_load(written())
    assert kept["title"] == "deployer-killed (drain step)"
    assert kept["description"].startswith("The deployer is killed")
    (probe,) = kept["steady-state-hypothesis"]["probes"]
    assert (probe["type"], probe["tolerance"]) == ("probe", True)
    (action,) = kept["method"]
    assert action["provider"]["type"] == "python"
    assert action["provider"]["arguments"] == {
        "fault": "deployer-killed",
        "values": {"moment": "drain step"},
        "version": "v2",
    }
    for activity in (probe, action, *kept["rollbacks"]):
        assert callable(getattr(actions, activity["provider"]["func"]))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("func: play", "func: _settings", "may not call _settings"),
        ("module: cyan.chaos.actions", "module: os", "may not call"),
        ("type: python", "type: process", "may not call"),
        ("method:", "way:", "this is no experiment"),
        ("title:", "[", "this is no experiment"),
    ],
)
def test_what_is_no_experiment_of_ours_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        experiment.read(written().replace(old, new))
