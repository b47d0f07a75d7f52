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
    "up": ("lab", "up", "Make a lab, or make the one that stands be what is asked for."),
    "down": ("lab", "down", "Remove the lab; nothing of it is left."),
    "status": ("lab", "status", "What the lab is like now, and what is missing."),
    "map": ("map", "map_", "Nodes as columns, their tasks below them."),
    "verify": ("lab", "verify_", "Try the lab: the mesh, the overlay, the registry."),
    "stop": ("machine", "stop", "Stop the lab, or the nodes named."),
    "start": ("machine", "start", "Start the lab, or the nodes named."),
    "suspend": ("suspend", "suspend", "Let the lab, or the nodes named, stand still."),
    "resume": ("suspend", "resume", "Let suspended nodes go on."),
    "labs": ("lab", "labs", "List all labs of this machine."),
    "exercise": ("exercise", "exercise", "Do an exercise, or list, check and test them."),
    "web": ("web", "web", "The lab in a browser: terminals, the map, an exercise."),
    "stack": ("stack", "stack", "Deploy a stack file and wait until it has converged."),
    "node": ("node", "node", "Add a node to the lab, or take one out in order."),
    "fault": ("fault", "fault", "Break something on purpose, and heal it."),
    "provision": ("provision", "provision", "Make machines what a node is, by the playbook."),
    "snapshot": ("snapshot", "snapshot", "Keep what a lab is, and go back to it."),
    "image": ("image", "image", "Build, push, list and pull images."),
    "registry": ("registry", "registry", "The lab's registry and its mirror of Docker Hub."),
    "port": ("port", "port", "Reach a published port on this host's 127.0.0.1."),
    "ports": ("port", "ports", "What is published, and where this host reaches it."),
    "open": ("port", "open_", "Open a service's published port in the browser."),
    "logs": ("logs", "logs", "What a node's machine said."),
    "exec": ("exec", "exec_", "Run a command on nodes, all at once."),
    "ssh": ("ssh", "ssh", "A shell on a node, or one command there."),
    "scp": ("ssh", "scp", "Copy files to a node, from one, or between two."),
    "docker": ("docker", "docker", "Run the Docker CLI against the lab."),
    "create": ("machine", "create", "Make one more bare engine."),
    "ls": ("machine", "ls", "List the nodes."),
    "env": ("env", "env", "What a shell must set to talk to a node's engine."),
    "ip": ("machine", "ip", "A node's address."),
    "inspect": ("machine", "inspect", "All that is known of a node, as JSON."),
    "config": ("env", "config", "The Docker CLI's flags for a node's engine."),
    "url": ("machine", "url", "Where this host reaches a node's engine."),
    "active": ("machine", "active", "Which node the shell talks to."),
    "kill": ("machine", "kill", "Pull the plug of nodes."),
    "restart": ("machine", "restart", "Stop nodes and start them again."),
    "rm": ("machine", "rm", "Remove nodes with their disks."),
    "version": ("machine", "version", "The version of labctl, or of a node's engine."),
    "doctor": ("doctor", "doctor", "What this machine can give a lab, and what must be mended."),
    "validate": ("spec", "validate", "Check a lab.yaml: every problem with its line."),
    "schema": ("spec", "schema", "The JSON Schema of lab.yaml."),
    "export": ("export", "export", "Logs for a bug report, an SSH configuration, an Ansible inventory."),
    "bundle": ("bundle", "bundle", "Carry all images to a room without network."),
    "completion": ("completion", "completion", "Completion for bash, zsh and fish."),
}
