"""Who answers for Docker Hub's names: the Hub itself through a cache, or this project's stand-ins.

Labels cannot change once a container is made, so the choice is made when a lab's registry is made; a
later `labctl up` makes it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from labctl.errors import UsageError

__all__ = ["HUB_CACHE", "HUB_URL", "MirrorMode", "mirror_mode"]

HUB_URL = "https://registry-1.docker.io"
HUB_CACHE = "labctl-hub-cache"  # the volume of what came through from the Hub
SWITCH = "LABCTL_HUB"


@dataclass(frozen=True)
class MirrorMode:
    """`upstream` is the registry that Hub names are fetched from, "" where stand-ins serve them.

    The store of the images that are labctl's own is another one than the store with stand-ins: so a
    stand-in cannot be served where the original can.
    """

    upstream: str = ""
    store: str = "labctl-mirror"

    @property
    def uses_standins(self) -> bool:
        """Whether Hub names resolve to stand-ins."""
        return not self.upstream


def mirror_mode(hub_reachable: Callable[[], bool] | None = None) -> MirrorMode:
    """Return who shall answer for the Hub's names, by LABCTL_HUB: auto (where it is in reach), always, never.

    A URL means always, with that registry in the Hub's place. Raises UsageError for anything else.
    """
    wanted = os.environ.get(SWITCH, "").strip() or "auto"
    if wanted.startswith(("http://", "https://")):
        return _with_hub(wanted.rstrip("/"))
    match wanted.lower():
        case "always":
            return _with_hub(HUB_URL)
        case "never":
            return MirrorMode()
        case "auto":
            return _with_hub(HUB_URL) if (hub_reachable or _hub_reachable)() else MirrorMode()
        case _:
            raise UsageError(f"{SWITCH}={wanted} means nothing", hint="It is auto, always, never, or a registry's URL.")


def _with_hub(url: str) -> MirrorMode:
    return MirrorMode(upstream=url, store="labctl-mirror-own")


def _hub_reachable() -> bool:
    from labctl.host.hub import hub_reachable

    return hub_reachable()
