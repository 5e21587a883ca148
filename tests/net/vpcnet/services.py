# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The host's dnsmasq, as `enid services` sets it up, and what guests ask of it: a DHCP lease, a name."""
import os
import re
import socket
import struct
import subprocess

from vpcnet import traffic
from vpcnet.agent import ENID, SLOW
from vpcnet.harness import Failure, wait_for

SCRIPT = """#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip -4 addr flush dev "$interface" scope global
ip addr add "$ip/$mask" dev "$interface"
ip route replace default via "$router" dev "$interface"
echo "ip=$ip mask=$mask router=$router dns=$dns domain=$domain ntpsrv=$ntpsrv serverid=$serverid" > "$ANSWER"
"""


def _services(what, states):
    done = subprocess.run([ENID, "services", what, *states], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"enid services {what}: {done.stderr}")
    return done.stdout


class Dnsmasq:
    """Serves the guests of a host namespace until close(). more: lines for its configuration."""

    def __init__(self, host, states, folder, more=""):
        self._folder = folder
        with open(f"{folder}/dnsmasq.conf", "w", encoding="ascii") as out:
            out.write(_services("dnsmasq", states) + more)
        with open(f"{folder}/script", "w", encoding="ascii") as out:
            out.write(SCRIPT)
        os.chmod(f"{folder}/script", 0o755)
        host.run("sh", "-s", text_in=_services("setup", states))
        with open(f"{folder}/log", "w", encoding="utf-8") as log:
            self._process = host.popen("dnsmasq", "-k", "-C", f"{folder}/dnsmasq.conf", "-x", f"{folder}/pid", "-l",
                                       f"{folder}/leases", "--no-resolv", "--log-dhcp", "--log-facility=-", "-u", "root",
                                       stdout=subprocess.DEVNULL, stderr=log)
        wait_for(lambda: os.path.exists(f"{folder}/pid") or self._process.poll() is not None, 5 * SLOW, "dnsmasq started")

    def close(self):
        self._process.terminate()
        self._process.wait()

    def log(self):
        with open(f"{self._folder}/log", encoding="utf-8") as log:
            return log.read()

    def lease(self, guest):
        """What a DHCP client is told, and has set; the guest has nothing but its MAC before."""
        answer = f"{self._folder}/{guest.name}"
        guest.run("ip", "-4", "addr", "flush", "dev", "eth0", "scope", "global")
        done = guest.run("env", f"ANSWER={answer}", "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "8", "-T", "1",
                         "-O", "ntpsrv", "-s", f"{self._folder}/script", check=False, timeout=60 * SLOW)
        if done.returncode:
            raise Failure(f"udhcpc in {guest.name}: {done.stderr}\n{self.log()}")
        with open(answer, encoding="ascii") as lines:
            return dict(re.findall(r"(\w+)=(\S*)", lines.read()))


def query(guest, server, name, kind=1):
    """Addresses in the answer to a DNS query, or None for silence."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack("!HH", kind, 1)
    with guest.socket(traffic.family_of(server), socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.7 * SLOW)
        try:
            sock.connect((server, 53))
            sock.send(struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + question)
            answer = sock.recv(4096)
        except OSError:
            return None
    count, = struct.unpack_from("!H", answer, 6)
    return [socket.inet_ntoa(answer[-4:])] if count else []
