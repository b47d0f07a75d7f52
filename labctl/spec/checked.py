"""What a person writes, checked by pydantic: every key, every value, and what contradicts what."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from labctl.spec import rules
from labctl.spec.model import Backend, LabSpec, Membership, NodeSpec, PortSpec, Protocol, Provider, Role, Swarm

__all__ = ["LabModel", "NodeModel", "PortModel"]


class Model(BaseModel):
    """Strict about what it is given: an unknown key is a mistake, not an extension."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def fields(self) -> dict[str, Any]:
        """The fields as they are."""
        return {name: getattr(self, name) for name in type(self).model_fields}


Cpus = Annotated[float | None, Field(gt=0, allow_inf_nan=False)]
Memory = Annotated[str | None, AfterValidator(rules.check_memory)]
EngineOptions = Annotated[dict[str, Any], AfterValidator(rules.check_engine_options)]


def _images(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(rules.check_image, value))


class NodeModel(Model):
    """One node, where its name or its size matters."""

    name: Annotated[str, AfterValidator(rules.check_node_name)] = Field(description="its host name; unique in the lab")
    role: Role = Field("worker", description="manager or worker")
    swarm: Membership = Field("joined", description="joined: in the swarm; bare: an engine that you join by hand")
    labels: dict[str, str] = Field(default_factory=dict, description="node labels, for placement constraints")
    cpus: Cpus = Field(None, description="number of CPUs (default: cpus of the lab)")
    memory: Memory = Field(None, description="memory limit: 512m, 2g (default: memory of the lab)")
    engine: EngineOptions = Field(default_factory=dict, description="daemon.json options for this node's engine")

    def plain(self) -> NodeSpec:
        """The node as all else has it."""
        return NodeSpec(**self.fields())


class PortModel(Model):
    """A port that the swarm publishes, and where this host reaches it."""

    target: int = Field(ge=1, le=rules.LAST_PORT, description="the port that the swarm publishes")
    host: int = Field(ge=1, le=rules.LAST_PORT, description="the port on this host's 127.0.0.1")
    protocol: Protocol = "tcp"

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Read `8080`, `18080:8080` (host:swarm, as Docker has it) or `8080/udp`."""
        if isinstance(value, bool) or not isinstance(value, int | str):
            return value
        return rules.port_of(str(value))

    def plain(self) -> PortSpec:
        """The port as all else has it."""
        return PortSpec(**self.fields())


class LabModel(Model):
    """A whole lab. What is left out gets the value that most labs want."""

    name: Annotated[str, AfterValidator(rules.check_name)] = Field(
        "lab", description="the lab's name; you can run several labs side by side"
    )
    backend: Backend = Field("dind", description="dind: nodes are containers; vagrant: virtual machines")
    provider: Provider | None = Field(
        None, description="what runs the virtual machines: libvirt, virtualbox or hyperv (default: detected)"
    )
    box: Annotated[str | None, AfterValidator(rules.check_box)] = Field(
        None,
        description="a Vagrant box with Debian 12 or 13, for example debian/bookworm64; the playbook turns it "
        "into a node (default: labctl's own box)",
    )
    managers: Annotated[int, Field(ge=1, le=rules.MAX_MANAGERS, description="number of managers, 1 to 7")] = 1
    workers: Annotated[int, Field(ge=0, le=rules.MAX_NODES, description="number of workers")] = 3
    nodes: tuple[NodeModel, ...] = Field(
        (), max_length=rules.MAX_NODES, description="the nodes one by one, instead of managers and workers"
    )
    cpus: Cpus = Field(None, description="number of CPUs of each node (default: containers: all, virtual machines: 1)")
    memory: Memory = Field(
        None, description="memory limit of each node: 2g (default: containers: none, virtual machines: 1g)"
    )
    swarm: Swarm = Field("formed", description="formed: labctl runs init and join; empty: bare engines")
    subnet: Annotated[str | None, AfterValidator(rules.check_subnet)] = Field(
        None, description="the nodes' subnet, for example 172.30.0.0/24 (default: a free one)"
    )
    engine: EngineOptions = Field(default_factory=dict, description="daemon.json options for every node's engine")
    registry: bool = Field(True, description="whether the lab has a registry and a mirror of Docker Hub")
    ports: tuple[PortModel, ...] = Field((), description="published ports to map to 127.0.0.1 of this host")
    images: Annotated[tuple[str, ...], AfterValidator(_images)] = Field((), description="images to pull on every node")
    node_labels: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="labels by filter: {'@worker': {zone: a}, 'worker1': {ssd: 'true'}}"
    )
    bare_names: bool = Field(False, description="name the containers worker1 instead of lab-worker1")
    privileged_tasks: bool = Field(
        False,
        description="allow `docker run --privileged` in nodes, which can then use every device of this host; "
        "only for code that you trust",
    )

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        self.plain().refuse_contradictions()
        return self

    def plain(self) -> LabSpec:
        """The lab as all else has it."""
        said = self.fields() | {"nodes": tuple(node.plain() for node in self.nodes)}
        if "name" not in self.model_fields_set:
            del said["name"]
        return LabSpec(**said | {"ports": tuple(port.plain() for port in self.ports)})
