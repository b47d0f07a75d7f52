"""What nodes have and tasks reserve: CPUs, memory, and the kinds that engines are told of (GPUs and their like)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Amounts"]


@dataclass(frozen=True)
class Amounts:
    """Amounts of what can be reserved: `cpus` in billionths, `memory` in bytes, `generic` by kind."""

    cpus: int = 0
    memory: int = 0
    generic: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, Any] | None) -> Amounts:
        """Read the Resources of a node's description, or the Reservations of a task's spec."""
        raw = raw or {}
        generic: dict[str, int] = {}
        for one in raw.get("GenericResources") or ():
            # A node lists each thing that has a name of its own, or says how many there are.
            if named := one.get("NamedResourceSpec"):
                generic[named["Kind"]] = generic.get(named["Kind"], 0) + 1
            elif discrete := one.get("DiscreteResourceSpec"):
                generic[discrete["Kind"]] = generic.get(discrete["Kind"], 0) + int(discrete.get("Value") or 0)
        return cls(int(raw.get("NanoCPUs") or 0), int(raw.get("MemoryBytes") or 0), generic)

    @classmethod
    def largest(cls, several: Sequence[Amounts]) -> Amounts:
        """The most that one of several has, of each by itself."""
        kinds = dict.fromkeys(kind for one in several for kind in one.generic)
        return cls(
            max((one.cpus for one in several), default=0),
            max((one.memory for one in several), default=0),
            {kind: max(one.generic.get(kind, 0) for one in several) for kind in kinds},
        )

    def fit(self, has: Amounts) -> bool:
        """Whether a node that has so much, and nothing on it, has room for these. Of what is not known: yes."""
        if not (has.cpus or has.memory):
            return True
        return (
            (not has.cpus or self.cpus <= has.cpus)
            and (not has.memory or self.memory <= has.memory)
            and all(number <= has.generic.get(kind, 0) for kind, number in self.generic.items())
        )

    def words(self) -> list[str]:
        """Each amount as a person reads it; nothing of what there is none of."""
        return [
            *([f"{self.cpus / 1e9:g} CPUs"] if self.cpus else []),
            *([f"{self.memory / 2**30:.4g} GiB"] if self.memory else []),
            *(f"{number} {kind}" for kind, number in self.generic.items() if number),
        ]
