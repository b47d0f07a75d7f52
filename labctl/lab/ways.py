"""Where this host reaches a service of the lab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labctl import edge
from labctl.errors import LabError, NotFoundError, NotYetError, UsageError
from labctl.spec import PortSpec
from labctl.words import counted, some

if TYPE_CHECKING:
    from labctl.edge import PublishedPort
    from labctl.lab.core import LabCore

__all__ = ["first_page", "urls_of", "whole_name"]


def urls_of(lab: LabCore, service: str) -> list[str]:
    """Where this host reaches the ports that a service publishes; its stack's name may be left out.

    What opens just now is waited for; for a port in host mode a way is made. Raises NotFoundError for a service that
    is not there, UsageError where several stacks have one of that name, NotYetError for one that publishes nothing,
    LabError when nothing leads there.
    """
    engine = lab.manager().engine
    listed = edge.published(engine)
    whole = whole_name(service, [str(each["Spec"]["Name"]) for each in engine.swarm_objects("services")])
    found = [each for each in listed if each.service == whole]
    if not found:
        command = f"labctl -l {lab.name} docker -- service update --publish-add 8080:80 {whole}"
        raise NotYetError(f"{whole} publishes no port", hint=f"`{command}` lets it.")
    return _ways(lab, found)


def whole_name(service: str, names: Sequence[str]) -> str:
    """The service that is meant, of all; its stack's name may be left out where one stack has it.

    Raises NotFoundError with the nearest, UsageError where several stacks have one of that name.
    """
    if service in names:
        return service
    found = sorted(name for name in names if name.endswith(f"_{service}"))
    if not found:
        raise NotFoundError("service", service, names)
    if len(found) > 1:
        raise UsageError(f"{counted(len(found), 'stack')} have a service {service}: {some(found)}", hint="Name one.")
    return found[0]


def first_page(urls: Sequence[str]) -> str:
    """The one of these that a browser opens; the first where none is for one."""
    return next((url for url in urls if url.startswith("http")), urls[0])


def _ways(lab: LabCore, found: Sequence[PublishedPort]) -> list[str]:
    """Where this host reaches ports; what is not on every node, the proxy does not open by itself."""
    engine, emit = lab.context.engine, lab.context.emit
    inside = {(each.port, each.protocol): each.target for each in found}
    ingress = [(each.port, each.protocol) for each in found if each.mode == "ingress"]
    ways = edge.reach(engine, lab.name, lab.nodes, ingress, emit)
    if hosted := [each for each in found if each.mode != "ingress"]:
        with lab.held() as now:
            for each in hosted:
                edge.refuse_taken(engine, now.name, PortSpec.parse(f"{each.port}/{each.protocol}"))
            ways += edge.open_hosted(engine, now.name, now.nodes, hosted, emit)
    if not ways:
        raise LabError("nothing on this host leads to the service", hint=f"`labctl status -l {lab.name}` tells why.")
    return [way.url_of(inside.get((way.target, way.protocol), 0)) for way in ways]
