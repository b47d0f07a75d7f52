"""The commands: name -> module under labctl.cli, attribute, one line of help. A test holds it true."""

from __future__ import annotations

__all__ = ["COMMANDS", "SECTIONS"]

SECTIONS: dict[str, tuple[str, ...]] = {
    "The lab": ("up", "down", "status", "map", "verify", "stop", "start", "suspend", "resume", "labs"),
    "Things in the lab": (
        "exercise", "web", "stack", "node", "fault", "provision", "snapshot", "image", "registry", "port", "ports",
        "open", "logs",
    ),
    "Commands on nodes": ("exec", "ssh", "scp", "docker"),
    "Machines, in docker-machine's words": (
        "create", "ls", "env", "ip", "inspect", "config", "url", "active", "kill", "restart", "rm", "version",
    ),
    "The tool": ("doctor", "validate", "schema", "export", "bundle", "completion"),
}  # fmt: skip

COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("lab", "up", "Create a lab, or change the existing one to match."),
    "down": ("lab", "down", "Remove the lab; nothing is left."),
    "status": ("lab", "status", "Show the lab and its problems."),
    "map": ("map", "map_", "Show each node with its tasks."),
    "verify": ("lab", "verify_", "Test the lab: the routing mesh, the overlay, the registry, your services."),
    "stop": ("machine", "stop", "Stop the lab or the named nodes."),
    "start": ("machine", "start", "Start the lab or the named nodes."),
    "suspend": ("suspend", "suspend", "Suspend the lab or the named nodes."),
    "resume": ("suspend", "resume", "Resume suspended nodes."),
    "labs": ("lab", "labs", "List all labs on this machine."),
    "exercise": ("exercise", "exercise", "Do an exercise, or list, check and test exercises."),
    "web": ("web", "web", "Show the lab in a browser: terminals, the map, an exercise."),
    "stack": ("stack", "stack", "Deploy a stack file and wait until it has converged."),
    "node": ("node", "node", "Add nodes to the lab, or remove them."),
    "fault": ("fault", "fault", "Inject faults, and heal them."),
    "provision": ("provision", "provision", "Run the playbook that turns a machine into a node."),
    "snapshot": ("snapshot", "snapshot", "Save the state of a lab, and return to it."),
    "image": ("image", "image", "Build, push, list and pull images."),
    "registry": ("registry", "registry", "Show the lab's registry and its mirror of Docker Hub."),
    "port": ("port", "port", "Map published ports to 127.0.0.1 of this host."),
    "ports": ("port", "ports", "List the published ports, and their addresses on this host."),
    "open": ("port", "open_", "Open a service's published port in the browser."),
    "logs": ("logs", "logs", "Show the logs of a node."),
    "exec": ("exec", "exec_", "Run a command on several nodes at once."),
    "ssh": ("ssh", "ssh", "Open a shell on a node, or run a command there."),
    "scp": ("ssh", "scp", "Copy files to a node, from a node, or between two nodes."),
    "docker": ("docker", "docker", "Run the Docker CLI on the lab."),
    "create": ("machine", "create", "Create a bare engine."),
    "ls": ("machine", "ls", "List the nodes."),
    "env": ("env", "env", "Print the variables that make the Docker CLI use a node's engine."),
    "ip": ("machine", "ip", "Print a node's address."),
    "inspect": ("machine", "inspect", "Print everything known about a node, as JSON."),
    "config": ("env", "config", "Print the Docker CLI's flags for a node's engine."),
    "url": ("machine", "url", "Print the address of a node's engine on this host."),
    "active": ("machine", "active", "Print the node that the shell's Docker CLI uses."),
    "kill": ("machine", "kill", "Kill nodes, as a power cut does."),
    "restart": ("machine", "restart", "Stop nodes and start them again."),
    "rm": ("machine", "rm", "Remove nodes and their disks."),
    "version": ("machine", "version", "Print the version of labctl, or of a node's engine."),
    "doctor": ("doctor", "doctor", "Check whether this machine can run a lab, and what to fix."),
    "validate": ("spec", "validate", "Check a lab.yaml, and print every problem with its line."),
    "schema": ("spec", "schema", "Print the JSON Schema of lab.yaml."),
    "export": ("export", "export", "Export logs for a bug report, an SSH configuration, or an Ansible inventory."),
    "bundle": ("bundle", "bundle", "Save all images to a file, and load them on a machine without network."),
    "completion": ("completion", "completion", "Print the completion script for bash, zsh or fish."),
}
