"""What a fault is: a small class that injects it, heals it, and says what must be seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from cyan.chaos.deploying import Deployer
    from cyan.chaos.hands import Site
    from cyan.chaos.moment import Moment
    from cyan.chaos.scene import Scene

GONE = "gone"
KILLED = -9

Values = Mapping[str, str]


@dataclass(frozen=True)
class Expectation:
    """What must be seen of a fault.

    `traffic` is what becomes of the live color. `exits` and `says` hold, for each command that is
    started, its exit codes and a regular expression that its output must match. Of the requests,
    none may be dropped where `outage` is 0; else only such as were in flight between injection and
    healing, and no more than are sent in `outage` seconds; with `spared`, none that the color which
    is live afterwards answered. `standby` is GONE where the color that the deploy started must have
    been removed.
    """

    traffic: Traffic
    exits: tuple[tuple[int, ...], ...] = ((0,),)
    says: tuple[str, ...] = ("",)
    outage: float = 0.0
    standby: str = ""
    spared: bool = False


class Fault(ABC):
    """One entry of the catalogue, made with the values that were drawn for it.

    `choices` are the values that may be drawn. `seconds` is about how long its act takes. `alone`
    says why it is drawn only where it is asked for by name, "" for the others. `passes` says that
    it is over while the command is still under way.
    """

    name: ClassVar[str]
    group: ClassVar[str]
    seconds: ClassVar[float] = 20
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    alone: ClassVar[str] = ""
    passes: ClassVar[bool] = False

    def __init__(self, values: Values | None = None) -> None:
        first = {key: options[0] for key, options in self.choices.items()}
        self.values: Values = {**first, **(values or {})}

    @property
    @abstractmethod
    def expects(self) -> Expectation:
        """What must be seen."""

    @property
    def tells(self) -> str:
        """The fault in one sentence: the first line of its docstring."""
        return (type(self).__doc__ or "").split("\n", maxsplit=1)[0]

    @property
    def moment(self) -> Moment | None:
        """When it is injected; before the command is started where None."""
        return None

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the command."""
        return {}

    def words(self, version: str) -> tuple[str, ...]:
        """What the deployer is told to do."""
        return ("deploy", "--version", version)

    def play(self, scene: Scene, version: str) -> None:
        """Start the command, inject at the moment, and wait for the command's end."""
        if self.moment is None:
            scene.inject(self)
        with scene.deployer(self.words(version), self.environment) as deployer:
            if self.moment is not None:
                deployer.comes_to(self.moment)
                scene.inject(self, deployer)
            if self.passes:
                scene.heal(self)
            deployer.ends()

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: B027 - see below
        """Make it happen; returns once it is seen to be there. Raises NotInjectedError."""

    def heal(self, site: Site) -> None:  # noqa: B027 - a release that misbehaves needs neither
        """Take it away, from whatever the host holds: the injecting process may be dead."""

    def healed(self, site: Site) -> str:  # noqa: ARG002 - for those that look
        """Why it is not healed; "" where it is."""
        return ""


def switches(*says: str, outage: float = 0.0) -> Expectation:
    """The command succeeds in spite of the fault."""
    return Expectation(Traffic.SWITCH, says=says or ("",), outage=outage)


def fails(says: str, *, outage: float = 0.0, standby: str = GONE) -> Expectation:
    """The command fails, and says why; the live color is untouched and the standby removed."""
    return Expectation(Traffic.UNTOUCHED, ((1,),), (says,), outage, standby)
