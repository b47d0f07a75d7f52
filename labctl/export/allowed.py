"""What is known to be no secret in an engine's answers: the names whose values may be shown, and what these look like.

A list of what is harmless, not of what is secret: whatever is not on it is hidden.
"""

from __future__ import annotations

import re

__all__ = [
    "COMMANDS",
    "LABELS",
    "SPECS",
    "VARIABLES",
    "is_harmless_label",
    "is_harmless_variable",
    "is_known_in_spec",
    "is_plain",
    "is_program",
]

# Members of the API's answers: lists of NAME=value, command lines, labels and options, and what users wrote as a whole.
VARIABLES = frozenset({"Env"})
COMMANDS = frozenset({"Args", "Command", "Cmd", "Entrypoint", "Test", "Shell"})
LABELS = frozenset({"Labels", "EngineLabels", "node_labels", "Options", "DriverOpts", "Config", "Sysctls"})
SPECS = frozenset({"Spec", "PreviousSpec"})

PLACES = r"[\w./~+:-]+"
NUMBER, VERSION = r"\d{1,6}", r"v?\d+(\.\d+){0,3}(-\d+)?(~\w+)?"
HARMLESS_VARIABLES = {
    "PATH": r"/[\w./~+-]*(:/[\w./~+-]*)*",
    "HOME|PWD|SHELL|GOPATH|PGDATA|JAVA_HOME|TMPDIR": r"/[\w./~+-]*",
    r"LANG|LANGUAGE|LC_\w+": r"([a-z]{2,3}(_[A-Z]{2})?|C|POSIX)(\.(UTF|utf)-?8)?",
    "TZ": r"UTC|[A-Z][a-z]+(/[A-Z][A-Za-z_]+){1,2}",
    "TERM": r"xterm(-\w+)?|linux|dumb",
    "HOSTNAME": r"[a-z0-9]([a-z0-9.-]|\{\{\.[A-Za-z.]+\}\}){0,62}|\{\{\.[A-Za-z.]+\}\}",
    r"PORT|\w+_PORT|UPLINK_MTU": NUMBER,
    r"(NGINX|PYTHON|NODE|GOLANG|REDIS|PG|PHP|JAVA|NJS|PKG|MYSQL|YARN|PYTHON_PIP)_(VERSION|MAJOR|RELEASE)": VERSION,
    # labctl's own, of the node's containers.
    "MESH|REGISTRY|MIRROR|DEBIAN_FRONTEND|container": r"on|off|yes|no|true|false|noninteractive|docker",
}
HARMLESS_LABELS = (
    "labctl.",
    "com.docker.stack.",
    "com.docker.swarm.",
    "com.docker.network.",
    "com.docker.compose.project",
    "com.docker.compose.service",
    "org.opencontainers.image.version",
    "max-",
    "net.",
    "encrypted",
)
# Of a service's, a task's or a node's specification: names, places, and words that the API has a list of.
KNOWN = re.compile(
    "Names?|Image|Role|Availability|Hostname|Dir|User|Groups|UID|GID|Isolation|Runtime|Mode|Type|Source|Target|Driver"
    "|Propagation|Consistency|Condition|FailureAction|Order|Protocol|PublishMode|Constraints|SpreadDescriptor|Aliases"
    "|ConfigID|ConfigName|SecretID|SecretName|StopSignal|OS|Architecture|Kind|CapabilityAdd|CapabilityDrop|Level"
    "|Nameservers|Search|Hosts|Addr"
)
PROGRAM = re.compile(r"[A-Za-z0-9_./-]{1,64}")
SHELL_WORDS = frozenset({"CMD", "CMD-SHELL", "NONE"})
# Values that stand everywhere: to hide them wherever they stand would leave nothing to read.
SEPARATORS = re.compile(r"[-._/:,@=\s]+")
ATOM = re.compile(r"[a-z]+|[A-Z][a-z]*|[A-Z]+|\d{1,6}[a-z]{0,2}|(manager|worker|node|myvm|eth)\d{1,3}|")
LONGEST_LABEL = 3  # letters of a value that is shown for any label: "a", "ssd"; to tell it tells nothing


def is_harmless_variable(name: str, value: str) -> bool:
    """Whether the value of an environment variable is known to be no secret: by its name, and by what it looks like."""
    return not value or any(
        re.fullmatch(names, name) and re.fullmatch(values, value) for names, values in HARMLESS_VARIABLES.items()
    )


def is_harmless_label(name: str, value: str) -> bool:
    """Whether the value of a label or an option is known to be no secret."""
    return name.startswith(HARMLESS_LABELS) or value in ("true", "false") or len(value) <= LONGEST_LABEL


def is_known_in_spec(member: str) -> bool:
    """Whether a text of that name in a specification is a name, a place, or one of the API's words."""
    return KNOWN.fullmatch(member) is not None


def is_program(word: str) -> bool:
    """Whether a command's first word looks like a program's name, or says how a health check is run."""
    return word in SHELL_WORDS or PROGRAM.fullmatch(word) is not None


def is_plain(value: str) -> bool:
    """Whether a value is made of words and short numbers alone: an address, an image, a path, a flag."""
    return all(ATOM.fullmatch(atom) for atom in SEPARATORS.split(value))
