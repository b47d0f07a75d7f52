"""Nodes as containers of this host's engine."""

from labctl.backend.dind.backend import DindBackend

__all__ = ["DindBackend"]
