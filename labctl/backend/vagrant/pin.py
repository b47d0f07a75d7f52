"""A node's address, pinned inside its machine: for providers that ignore addresses, as Hyper-V does.

The machine is found by the address that the provider tells (from its switch, by DHCP, another one after each start of
the host perhaps). It gets its node's address beside that one, on the same card, and keeps it over its restarts.
"""

from __future__ import annotations

import ipaddress

from labctl.backend.vagrant.labfile import Machine, VmLab
from labctl.errors import LabError
from labctl.transport import Transport

__all__ = ["pin"]

LIMIT = 120.0  # seconds; an emulated machine starts some ten programs for it
# Written down for whoever sets the card up at each start, and set at once: nothing is restarted, for that would cut the
# very connection that this came by.
SCRIPT = r"""
set -e
export LC_ALL=C
way_in=$1 address=$2
card=$(ip -4 -o address show to "$way_in" | { read -r _ card _ && echo "$card"; }) || card=
[ -n "$card" ] && [ "$card" != lo ] || { echo "no card has the address $way_in" >&2; exit 1; }
file=
if systemctl is-active -q systemd-networkd; then
  file=$(networkctl status "$card" | sed -n 's|^ *Network File: */|/|p')
fi
if [ -n "$file" ]; then
  mkdir -p "/etc/systemd/network/${file##*/}.d"
  printf '[Network]\nAddress=%s\n' "$address" > "/etc/systemd/network/${file##*/}.d/labctl.conf"
elif grep -Eqs "^iface +$card +inet " /etc/network/interfaces /etc/network/interfaces.d/*; then
  mkdir -p /etc/network/interfaces.d
  printf 'iface %s inet static\n    address %s\n' "$card" "$address" > /etc/network/interfaces.d/labctl
  grep -Eq '^source(-directory)? +/etc/network/interfaces.d' /etc/network/interfaces ||
    echo 'source /etc/network/interfaces.d/*' >> /etc/network/interfaces
else
  echo "neither systemd-networkd nor ifupdown looks after its card $card" >&2
  exit 1
fi
ip address replace "$address" dev "$card"
"""


def pin(transport: Transport, machine: Machine, lab: VmLab, way_in: str) -> None:
    """Give the machine that answers at `way_in` its node's address too, now and at each start.

    Raises LabError with what the machine said.
    """
    address = f"{machine.address}/{ipaddress.IPv4Network(lab.subnet).prefixlen}"
    result = transport.run(["/bin/sh", "-c", SCRIPT, "pin", way_in, address], limit=LIMIT)
    if not result.ok:
        said = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.code}"]
        raise LabError(
            f"{machine.name}, found at {way_in}, did not take the address {address}: {said[0]}",
            hint="A box of Debian 12 or 13 does; `labctl up --retain` keeps the machine, to look into it.",
        )
