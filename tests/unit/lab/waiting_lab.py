"""A lab in memory whose engines answer, so that it can be stopped, suspended, and waited for."""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.backend import Backend, FakeBackend, NodePlan
from labctl.engine.fake import FakeEngine
from labctl.lab import Context, Lab, find_lab
from labctl.lab.neighbours import ASK
from labctl.spec import LabSpec

__all__ = ["FakeContext", "lab_in_memory"]


@dataclass
class FakeContext(Context):
    """A host on which all labs are in memory."""

    made: FakeBackend = field(default_factory=FakeBackend)

    def backend(self, kind: str = "dind") -> Backend:
        """The one there is."""
        return self.made

    def holding(self, lab: str) -> Backend:
        """The one there is."""
        return self.made


def lab_in_memory(backend: FakeBackend | None = None, *, workers: int = 1) -> Lab:
    """A lab of engines without a swarm, all of them running."""
    backend = backend or FakeBackend()
    spec = LabSpec(name="demo", workers=workers, swarm="empty", registry=False)
    backend.create_base(spec, "10.0.0.0/24")
    for number, node in enumerate(spec.all_nodes(), start=11):
        backend.create_node(spec, NodePlan(node, f"10.0.0.{number}", {}))
        backend.transports[node.name].answers[ASK] = ""
        backend.engines[node.name].script["GET /_ping"] = {"Server": "Docker/26.1.5 (linux)"}
    return find_lab(FakeContext(FakeEngine({"GET /containers/json": []}), made=backend), "demo")
