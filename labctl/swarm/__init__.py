"""The swarm itself: typed views of what a manager says, init and join, services and stacks."""

from labctl.swarm.state import Port, Service, SwarmNode, SwarmView, Task

__all__ = ["Port", "Service", "SwarmNode", "SwarmView", "Task"]
