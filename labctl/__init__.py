"""labctl: a real multi-node Docker Swarm on one machine, and exercises on it that check themselves.

`from labctl import Lab` is the door for programs; docs/api.md tells of it. What is shown here stays.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.backend import Snapshot
    from labctl.bundle import Bundle
    from labctl.edge import ForwardedPort, PublishedPort
    from labctl.errors import (
        Abandoned,
        CommandFailed,
        DeclinedError,
        EngineRefused,
        EngineUnreachable,
        HostError,
        LabctlError,
        LabError,
        NodeDown,
        NotFoundError,
        NotYetError,
        QuorumLost,
        SeveralErrors,
        SpecError,
        SwarmLocked,
        UsageError,
        WaitTimeout,
    )
    from labctl.events import (
        CheckFinished,
        CommandShown,
        Event,
        NodeJoined,
        NodeReady,
        NodeRemoved,
        NodeStarted,
        Noted,
        StepFinished,
        StepProgress,
        StepStarted,
        TaskConverged,
        Warned,
    )
    from labctl.faults import Fault
    from labctl.host import Report, Row
    from labctl.images.listing import ImageName, OwnImage
    from labctl.images.prune import Pruned
    from labctl.lab.everywhere import NodeResult
    from labctl.lab.happening import ContainerEvent, LabEvent, LinkEvent, NetworkEvent, NodeEvent, ServiceEvent
    from labctl.lab.host import Host
    from labctl.lab.lab import Lab
    from labctl.lab.mapping import MapNode, MapTask, SwarmMap
    from labctl.lab.plan import Plan
    from labctl.lab.stacklists import StackService, StackTask
    from labctl.lab.stacks import Deployment
    from labctl.lab.status import LabStatus, NodeStatus
    from labctl.lab.watching import LabEvents
    from labctl.node import Node
    from labctl.provision import Recap
    from labctl.registry import RegistryInfo, StoredImage
    from labctl.spec import LabSpec, NodeSpec, PortSpec
    from labctl.swarm import SwarmView
    from labctl.transport import Result, Terminal

__version__ = "0.1.0"

__all__ = [
    "Abandoned",
    "Bundle",
    "CheckFinished",
    "CommandFailed",
    "CommandShown",
    "ContainerEvent",
    "DeclinedError",
    "Deployment",
    "EngineRefused",
    "EngineUnreachable",
    "Event",
    "Fault",
    "ForwardedPort",
    "Host",
    "HostError",
    "ImageName",
    "Lab",
    "LabError",
    "LabEvent",
    "LabEvents",
    "LabSpec",
    "LabStatus",
    "LabctlError",
    "LinkEvent",
    "MapNode",
    "MapTask",
    "NetworkEvent",
    "Node",
    "NodeDown",
    "NodeEvent",
    "NodeJoined",
    "NodeReady",
    "NodeRemoved",
    "NodeResult",
    "NodeSpec",
    "NodeStarted",
    "NodeStatus",
    "NotFoundError",
    "NotYetError",
    "Noted",
    "OwnImage",
    "Plan",
    "PortSpec",
    "Pruned",
    "PublishedPort",
    "QuorumLost",
    "Recap",
    "RegistryInfo",
    "Report",
    "Result",
    "Row",
    "ServiceEvent",
    "SeveralErrors",
    "Snapshot",
    "SpecError",
    "StackService",
    "StackTask",
    "StepFinished",
    "StepProgress",
    "StepStarted",
    "StoredImage",
    "SwarmLocked",
    "SwarmMap",
    "SwarmView",
    "TaskConverged",
    "Terminal",
    "UsageError",
    "WaitTimeout",
    "Warned",
    "__version__",
]

# What is neither an error nor an event of progress, by its module.
WHERE = {
    "Bundle": "bundle",
    "ContainerEvent": "lab.happening",
    "Deployment": "lab.stacks",
    "Fault": "faults",
    "ForwardedPort": "edge",
    "Host": "lab.host",
    "ImageName": "images.listing",
    "Lab": "lab.lab",
    "LabEvent": "lab.happening",
    "LabEvents": "lab.watching",
    "LabSpec": "spec",
    "LabStatus": "lab.status",
    "LinkEvent": "lab.happening",
    "MapNode": "lab.mapping",
    "MapTask": "lab.mapping",
    "NetworkEvent": "lab.happening",
    "Node": "node",
    "NodeEvent": "lab.happening",
    "NodeResult": "lab.everywhere",
    "NodeSpec": "spec",
    "NodeStatus": "lab.status",
    "OwnImage": "images.listing",
    "Plan": "lab.plan",
    "PortSpec": "spec",
    "Pruned": "images.prune",
    "PublishedPort": "edge",
    "Recap": "provision",
    "RegistryInfo": "registry",
    "Report": "host",
    "Result": "transport",
    "Row": "host",
    "ServiceEvent": "lab.happening",
    "Snapshot": "backend",
    "StackService": "lab.stacklists",
    "StackTask": "lab.stacklists",
    "StoredImage": "registry",
    "SwarmMap": "lab.mapping",
    "SwarmView": "swarm",
    "Terminal": "transport",
}


def __getattr__(name: str) -> Any:
    """What is shown comes when it is used: `import labctl` brings neither docker nor pydantic."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in WHERE:
        return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
    errors = import_module(f"{__name__}.errors")
    return getattr(errors if name in errors.__all__ else import_module(f"{__name__}.events"), name)
