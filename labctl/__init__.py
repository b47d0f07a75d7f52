"""labctl: a real multi-node Docker Swarm on one machine, and exercises on it that check themselves."""

__version__ = "0.1.0"
__all__ = ["__version__"]
