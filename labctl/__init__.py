"""labctl: a real multi-node Docker Swarm on one machine, and exercises on it that check themselves.

`from labctl import Lab` is the door for programs; docs/api.md tells of it. What is shown here stays.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.backend import Snapshot
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
    from labctl.lab.happening import ContainerEvent, LabEvent, LinkEvent, NetworkEvent, NodeEvent, ServiceEvent
    from labctl.lab.lab import Lab
    from labctl.lab.stacks import Deployment
    from labctl.lab.status import LabStatus, NodeStatus
    from labctl.lab.watching import LabEvents
    from labctl.node import Node
    from labctl.spec import LabSpec, NodeSpec, PortSpec
    from labctl.swarm import SwarmView
    from labctl.transport import Result, Terminal

__version__ = "0.1.0"

__all__ = [
    "Abandoned",
    "CheckFinished",
    "CommandFailed",
    "CommandShown",
    "ContainerEvent",
    "DeclinedError",
    "Deployment",
    "EngineRefused",
    "EngineUnreachable",
    "Event",
    "HostError",
    "Lab",
    "LabError",
    "LabEvent",
    "LabEvents",
    "LabSpec",
    "LabStatus",
    "LabctlError",
    "LinkEvent",
    "NetworkEvent",
    "Node",
    "NodeDown",
    "NodeEvent",
    "NodeJoined",
    "NodeReady",
    "NodeRemoved",
    "NodeSpec",
    "NodeStarted",
    "NodeStatus",
    "NotFoundError",
    "NotYetError",
    "Noted",
    "PortSpec",
    "QuorumLost",
    "Result",
    "ServiceEvent",
    "SeveralErrors",
    "Snapshot",
    "SpecError",
    "StepFinished",
    "StepProgress",
    "StepStarted",
    "SwarmLocked",
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
    "ContainerEvent": "lab.happening",
    "Deployment": "lab.stacks",
    "Lab": "lab.lab",
    "LabEvent": "lab.happening",
    "LabEvents": "lab.watching",
    "LabSpec": "spec",
    "LabStatus": "lab.status",
    "LinkEvent": "lab.happening",
    "NetworkEvent": "lab.happening",
    "Node": "node",
    "NodeEvent": "lab.happening",
    "NodeSpec": "spec",
    "NodeStatus": "lab.status",
    "PortSpec": "spec",
    "Result": "transport",
    "ServiceEvent": "lab.happening",
    "Snapshot": "backend",
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
