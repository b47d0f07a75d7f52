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
    swarm: Membership = Field("joined", description="joined: it is in the swarm; bare: an engine to join by hand")
    labels: dict[str, str] = Field(default_factory=dict, description="node labels, for placement constraints")
    cpus: Cpus = Field(None, description="how many CPUs it may use; where not said, as many as the lab's nodes")
    memory: Memory = Field(None, description="the most memory it may use: 512m, 2g; where not said, the lab's")
    engine: EngineOptions = Field(default_factory=dict, description="daemon.json options of this node's engine")

    def plain(self) -> NodeSpec:
        """The node as all else has it."""
        return NodeSpec(**self.fields())


class PortModel(Model):
    """A port that the swarm publishes, and where this host shall reach it."""

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
        "lab", description="the lab's name; several labs live side by side"
    )
    backend: Backend = Field("dind", description="dind: nodes are containers; vagrant: virtual machines")
    provider: Provider | None = Field(
        None, description="who runs virtual machines: libvirt, virtualbox or hyperv; found out where not said"
    )
    box: Annotated[str | None, AfterValidator(rules.check_box)] = Field(
        None,
        description="a Vagrant box of Debian 12 or 13 that the playbook makes nodes of, for example debian/bookworm64; "
        "labctl's own where not said",
    )
    managers: Annotated[int, Field(ge=1, le=rules.MAX_MANAGERS, description="how many managers, 1 to 7")] = 1
    workers: Annotated[int, Field(ge=0, le=rules.MAX_NODES, description="how many workers")] = 3
    nodes: tuple[NodeModel, ...] = Field(
        (), max_length=rules.MAX_NODES, description="the nodes one by one, instead of managers and workers"
    )
    cpus: Cpus = Field(
        None, description="how many CPUs each node may use; where not said, a container all, a virtual machine one"
    )
    memory: Memory = Field(
        None, description="the most memory each node may use: 2g; where not said, a container all, a machine 1g"
    )
    swarm: Swarm = Field("formed", description="formed: init and join are done; empty: bare engines")
    subnet: Annotated[str | None, AfterValidator(rules.check_subnet)] = Field(
        None, description="the nodes' network, for example 172.30.0.0/24; a free one if not said"
    )
    engine: EngineOptions = Field(default_factory=dict, description="daemon.json options of every node's engine")
    registry: bool = Field(True, description="whether the lab has a registry and a mirror of Docker Hub")
    ports: tuple[PortModel, ...] = Field((), description="published ports to reach on this host's 127.0.0.1")
    images: Annotated[tuple[str, ...], AfterValidator(_images)] = Field(
        (), description="images that every node shall have from the start"
    )
    node_labels: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="labels by filter: {'@worker': {zone: a}, 'worker1': {ssd: 'true'}}"
    )
    bare_names: bool = Field(False, description="containers are called worker1, not lab-worker1")
    privileged_tasks: bool = Field(
        False,
        description="nodes may use every device of this host, as `docker run --privileged` in a node needs; "
        "only for code that you trust with this host",
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
