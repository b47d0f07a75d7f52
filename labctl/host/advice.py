"""The one line that mends a thing, on the system at hand."""

from __future__ import annotations

from labctl.host.facts import MachineFacts

__all__ = ["can_install", "fix_line", "install", "install_engine", "install_vagrant", "is_debian", "start_engine"]

_INSTALLERS = {
    "debian": "sudo apt-get install -y {}",
    "ubuntu": "sudo apt-get install -y {}",
    "fedora": "sudo dnf install -y {}",
    "rhel": "sudo dnf install -y {}",
    "centos": "sudo dnf install -y {}",
    "arch": "sudo pacman -S --noconfirm {}",
    "suse": "sudo zypper install -y {}",
    "opensuse": "sudo zypper install -y {}",
    "alpine": "sudo apk add {}",
}
_ENGINE_PACKAGE = {"fedora": "moby-engine", "rhel": "docker-ce", "centos": "docker-ce"}
_REPOSITORY = " (from https://docs.docker.com/engine/install/)"


def is_debian(machine: MachineFacts) -> bool:
    """Whether packages come by apt: Debian, Ubuntu and what stems from them."""
    return bool({"debian", "ubuntu"} & set(machine.distribution))


def can_install(machine: MachineFacts) -> bool:
    """Whether `labctl doctor --fix` knows how to install packages here."""
    return machine.system == "Linux" and is_debian(machine)


def fix_line(machine: MachineFacts) -> str:
    """Return how this user has the doctor mend things: as root."""
    # sudo has a PATH of its own, where a virtual environment's programs are not.
    return "labctl doctor --fix" if machine.is_root else 'sudo "$(command -v labctl)" doctor --fix'


def install(machine: MachineFacts, package: str) -> str:
    """Return the command that installs a package on this system, as well as it is known."""
    known = next((_INSTALLERS[name] for name in machine.distribution if name in _INSTALLERS), None)
    if known is None:
        return f"install {package} with this system's package manager"
    return known.format(package)


def install_engine(machine: MachineFacts) -> str:
    """Return the command that puts an engine on this system."""
    if machine.system == "Darwin":
        return "brew install --cask docker-desktop, and open Docker Desktop once"
    if machine.system == "Windows":
        return "winget install Docker.DockerDesktop, and open Docker Desktop once"
    known = next((name for name in machine.distribution if name in _INSTALLERS), None)
    if known is None:
        return "install Docker as https://docs.docker.com/engine/install/ says for this system"
    package = "docker.io" if is_debian(machine) else _ENGINE_PACKAGE.get(known, "docker")
    from_elsewhere = _REPOSITORY if package == "docker-ce" else ""
    return install(machine, package) + from_elsewhere


def install_vagrant(machine: MachineFacts) -> str:
    """Return the command that puts Vagrant on this system, or where to get it."""
    if machine.system == "Darwin":
        return "brew install --cask vagrant"
    if machine.system == "Windows":
        return "winget install Hashicorp.Vagrant"
    by_hand = "https://developer.hashicorp.com/vagrant/install"
    return f"{install(machine, 'vagrant vagrant-libvirt')}, or {by_hand}" if is_debian(machine) else by_hand


def start_engine(machine: MachineFacts) -> str:
    """Return the command that starts an installed engine."""
    if machine.system in ("Darwin", "Windows"):
        return "open Docker Desktop, and wait until it says that the engine runs"
    return {
        "systemd": "sudo systemctl enable --now docker",
        "openrc": "sudo rc-service docker start && sudo rc-update add docker default",
        "sysv": "sudo service docker start",
    }.get(machine.service_manager or "", fix_line(machine))
