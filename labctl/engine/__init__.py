"""Docker engines: the host's and the nodes'. The one place that imports docker; its errors become ours here."""

from labctl.engine.client import Engine, ExecOutcome
from labctl.engine.endpoint import Endpoint, host_endpoint

__all__ = ["Endpoint", "Engine", "ExecOutcome", "host_endpoint"]
