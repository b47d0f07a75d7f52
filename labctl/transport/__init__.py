"""How a command reaches a node."""

from labctl.transport.base import Result, Transport, Way
from labctl.transport.docker_exec import DockerExec
from labctl.transport.fake import FakeTransport
from labctl.transport.seat import Terminal

__all__ = ["DockerExec", "FakeTransport", "Result", "Terminal", "Transport", "Way"]
