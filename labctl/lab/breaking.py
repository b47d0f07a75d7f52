"""Things broken on purpose, and healed: the faults of a `Lab`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from labctl.events import Emit
from labctl.lab.choosing import Nodes
from labctl.lab.core import LabCore
from labctl.node import Node

if TYPE_CHECKING:
    from labctl.faults import Fault, Injected, Scene
    from labctl.lab.faulting import OptionValue

__all__ = ["Breaking"]


class Breaking(LabCore):
    """The verbs on faults; a part of `Lab`."""

    def scene(self) -> Scene:
        """The lab as faults see it (labctl.faults), as it is now."""
        from labctl.lab.faulting import scene_of

        return scene_of(self)

    def targets(
        self,
        nodes: Nodes | None = None,
        *,
        label: str | None = None,
        service: str | None = None,
        pick: int | str | None = None,
        seed: int | str | None = None,
    ) -> list[Node]:
        """Nodes to break: of `nodes` (None: all) those with a label of the swarm ("zone=a"), or that run a service.

        `pick` takes some of them at random, a number or a share ("50%"); the same `seed` takes the same again.
        Empty where none is meant. Raises NotFoundError for no such node or service, UsageError for a wrong `pick`.

            lab.inject_fault("cut", lab.targets("@worker", service="web", pick=1, seed=7), seconds=30)
        """
        from labctl.lab.faulting import targets

        share, seeded = ("" if one is None else str(one) for one in (pick, seed))
        return targets(self._now(None), nodes, label=label, service=service, share=share, seed=seeded)

    def fault(
        self,
        kind: str,
        on: Nodes,
        *,
        seconds: float | str | None = None,
        sure: bool = False,
        **options: OptionValue,
    ) -> Injected:
        """A fault for as long as a `with` block runs: on nodes (names, filters) or, by its kind, on services' names.

        With `seconds` (60, or "5m") it also heals by itself, should this process die. Options are texts or numbers;
        `from_` of a partition is nodes. Raises NotFoundError for no such kind, node or service, UsageError for an
        option that the kind has not, or when managers would lose their majority (not with `sure`).

            with lab.fault("cut", "w1", seconds=60):
                ...
        """
        from labctl.lab.faulting import injected

        return injected(self, kind, on, seconds, options, sure=sure)

    def inject_fault(
        self,
        kind: str,
        on: Nodes,
        *,
        seconds: float | str | None = None,
        sure: bool = False,
        **options: OptionValue,
    ) -> list[Fault]:
        """A fault that stays when this program ends, until `heal_faults` or the end of its `seconds`.

        Returns one for each node or service. Arguments and errors as in `fault`.
        """
        from labctl.faults import inject
        from labctl.lab.faulting import injected

        planned = injected(self._now(None), kind, on, seconds, options, sure=sure)
        return inject(planned.scene, planned.faults, sure=sure)

    def faults(self, *, on_event: Emit | None = None) -> list[Fault]:
        """The faults that act in the lab now: looked at, not remembered. Who could not be asked is warned of."""
        from labctl.faults import active

        return active(self._now(on_event).scene())

    def heal_faults(self, ids: str | Iterable[str] | None = None, *, on_event: Emit | None = None) -> list[Fault]:
        """Heal the faults of these ids (None: all), try the lab with nodes that are back, and return what was healed.

        Raises NotFoundError for an id that is none, NotYetError where not everybody could be asked for faults.
        """
        from labctl.faults import heal

        given = [ids] if isinstance(ids, str) else ids
        return heal(self._now(on_event).scene(), None if given is None else list(given))
