"""How this host, and programs on it, reach what is in a lab: the ways of a `Lab`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from labctl.errors import raise_all
from labctl.events import Emit
from labctl.lab.core import LabCore

if TYPE_CHECKING:
    from labctl.edge import ForwardedPort, PublishedPort
    from labctl.lab.ports import PortLike
    from labctl.node import Node

__all__ = ["Reaching"]


class Reaching(LabCore):
    """Published ports, and what leads other programs to the nodes; a part of `Lab`."""

    def urls(self, service: str, *, on_event: Emit | None = None) -> list[str]:
        """Where this host reaches the ports that a service publishes; its stack's name may be left out.

        Raises NotFoundError for a service that is not there, NotYetError for one that publishes nothing.
        """
        from labctl.lab.ways import urls_of

        return urls_of(self._now(on_event), service)

    def url(self, service: str, *, on_event: Emit | None = None) -> str:
        """The one of these for a browser; errors as in `urls`."""
        from labctl.lab.ways import first_page

        return first_page(self.urls(service, on_event=on_event))

    def ports(self, *, on_event: Emit | None = None) -> list[PublishedPort]:
        """What the services publish, by service and port, each with the `urls` where this host reaches it."""
        from labctl.lab.ports import published_ports

        return published_ports(self._now(on_event))

    def forwarded_ports(self, *, on_event: Emit | None = None) -> list[ForwardedPort]:
        """The ways from 127.0.0.1 to ports of the lab, by port. Anybody may ask."""
        from labctl.lab.ports import forwarded_ports

        return forwarded_ports(self._seen(on_event))

    def add_ports(self, *ports: PortLike, on_event: Emit | None = None) -> list[ForwardedPort]:
        """Let 127.0.0.1 reach ports that the swarm publishes, or will publish, until `remove_ports`.

        A port is 8080, "18080:8080" (this host's first) or "53/udp". A host port that another program has taken gets
        another number, and a warning says so. Raises UsageError for what is no port, or leads elsewhere already.
        """
        from labctl.lab.ports import add_ports

        return add_ports(self._now(on_event), ports)

    def remove_ports(self, *ports: PortLike, on_event: Emit | None = None) -> list[ForwardedPort]:
        """Take away all ways to ports, or the one from a host port ("18080:8080"), and return them.

        Raises NotFoundError for a port that none leads to, or that only a service holds open, when the others are gone.
        """
        from labctl.lab.ports import remove_ports

        gone, missing = remove_ports(self._now(on_event), ports)
        raise_all(missing)
        return gone

    def docker_env(self, node: Node | str | None = None) -> dict[str, str]:
        """The variables that lead the Docker CLI to a node; to a manager that can change the swarm where none is said.

        In a lab without a swarm that is the first node that runs. Raises NodeDown, QuorumLost or LabError.
        """
        from labctl.lab.choosing import client_node

        return client_node(self._now(None), node).docker_env

    def ssh_config(self, *, through_docker: bool = sys.platform != "linux") -> str:
        """A configuration for `ssh -F` with all nodes; `through_docker` where their addresses cannot be reached."""
        from labctl.export import ssh_config

        lab = self._now(None)
        return ssh_config(lab.name, lab.nodes, through_docker=through_docker)

    def inventory(self, *, connection: Literal["ssh", "docker"] = "ssh") -> str:
        """An Ansible inventory in YAML, with the groups managers and workers."""
        from labctl.export import inventory

        lab = self._now(None)
        return inventory(lab.name, lab.nodes, connection=connection)
