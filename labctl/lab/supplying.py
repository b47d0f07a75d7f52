"""Images for a lab's nodes, and its registry: the supply of a `Lab`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from labctl.errors import UsageError
from labctl.events import Emit, quiet
from labctl.lab.choosing import Nodes, chosen
from labctl.lab.context import open_context
from labctl.lab.core import LabCore

if TYPE_CHECKING:
    from labctl.registry import RegistryInfo, StoredImage

__all__ = ["Supplying"]


class Supplying(LabCore):
    """The verbs on images; a part of `Lab`."""

    @classmethod
    def build_image(
        cls,
        folder: Path | str,
        name: str,
        *,
        dockerfile: Path | str | None = None,
        network: Literal["bridge", "host", "none"] = "bridge",
        on_event: Emit | None = None,
    ) -> str:
        """Build a folder's Dockerfile on this host's engine, for `push` or `load`, and return the image's whole name.

        Where Docker Hub cannot be reached, its FROM takes what labctl has in the place of that image. `network` is what
        the build's commands reach. Raises UsageError for what cannot be built, NotYetError with the line that failed.
        """
        from labctl.lab.images import build

        if network not in (known := ("bridge", "host", "none")):
            raise UsageError(f"network={network!r}: expected one of {', '.join(known)}")
        file = None if dockerfile is None else Path(dockerfile)
        return build(open_context(on_event or quiet), Path(folder), name, dockerfile=file, network=network)

    def push(self, image: str, as_name: str | None = None, *, on_event: Emit | None = None) -> str:
        """Push an image of this host's engine to the lab's registry, and return what nodes call it there."""
        from labctl.lab.images import push

        return push(self._now(on_event), image, as_name or "")

    def pull(self, image: str, nodes: Nodes | None = None, *, on_event: Emit | None = None) -> None:
        """Let nodes pull an image, all at once, so that a service that needs it starts without waiting.

        Raises NotFoundError or LabError with what the engines say of it.
        """
        from labctl.lab.images import pull

        lab = self._now(on_event)
        pull(lab, image, chosen(lab, nodes))

    def load(self, image: str, nodes: Nodes | None = None, *, on_event: Emit | None = None) -> None:
        """Copy an image of this host's engine straight to nodes, all at once, without a registry.

        Raises NotFoundError for one that this host does not have.
        """
        from labctl.lab.images import load

        lab = self._now(on_event)
        load(lab, image, chosen(lab, nodes))

    def registry(self) -> RegistryInfo:
        """The lab's registry: its `state`, and the `url` where this host reaches it. Raises LabError for none."""
        from labctl.registry import find_registry

        return find_registry(self.context.engine, self._now(None).name)

    def stored_images(self) -> list[StoredImage]:
        """What was pushed to the lab's registry, by name. Raises LabError for a lab without one."""
        from labctl.lab.images import stored_images

        return stored_images(self._now(None))
