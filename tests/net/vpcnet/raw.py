# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Guests that are wires: no address, no stack, every frame made by the test and every arriving frame seen.

A RawFabric plugs such a guest for each ENI that is named raw: behind a veth a namespace with packet sockets, behind a
tap the tap's own file, as a virtual machine's monitor has it. Volleys go out by sendmmsg(2), a hundred thousand
frames in less than a second."""
import array
import ctypes
import errno
import fcntl
import os
import socket

from vpcnet.fabric import Fabric, open_tap
from vpcnet.frames import ETH_P_ALL

SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_MARK = 33, 32, 36
SOL_PACKET, PACKET_QDISC_BYPASS, PACKET_IGNORE_OUTGOING = 263, 20, 23
TUNSETSNDBUF = 0x400454D4
MESSAGES_MAX = 1024
_libc = ctypes.CDLL(None, use_errno=True)


def _messages(chunk):
    """What sendmmsg takes for these frames: (array of struct mmsghdr, all that it points to)."""
    data = bytearray(b"".join(chunk))
    base = ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))
    vectors, headers, at = array.array("Q"), array.array("Q"), base
    for frame in chunk:
        vectors.extend((at, len(frame)))
        at += len(frame)
    first = vectors.buffer_info()[0]
    for number in range(len(chunk)):
        headers.extend((0, 0, first + 16 * number, 1, 0, 0, 0, 0))
    return headers, (data, vectors)


class RawVeth:
    """The guest's end of a veth."""

    def __init__(self, namespace, device="eth0"):
        self.namespace = namespace
        with namespace.entered():
            self._in = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._in.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
            self._in.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._in.bind((device, ETH_P_ALL))
            self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._out.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
            self._out.bind((device, 0))
        self._in.setblocking(False)

    def send(self, chunk, mark=0):
        """With a mark the frames go through the guest's own egress hook, which may do something with it."""
        self._out.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, int(not mark))
        self._out.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
        for start in range(0, len(chunk), MESSAGES_MAX):
            part = chunk[start:start + MESSAGES_MAX]
            headers, _kept = _messages(part)
            at, sent = headers.buffer_info()[0], 0
            while sent < len(part):
                done = _libc.sendmmsg(self._out.fileno(), ctypes.c_void_p(at + 64 * sent), len(part) - sent, 0)
                if done < 0 and ctypes.get_errno() not in (errno.ENOBUFS, errno.EAGAIN):
                    raise OSError(ctypes.get_errno(), f"sendmmsg: frame {start + sent}: {part[sent].hex()}")
                sent += max(done, 0)

    def drain(self):
        """The frames that have arrived since the last call."""
        found = []
        try:
            while True:
                found.append(self._in.recv(65600))
        except BlockingIOError:
            return found

    def close(self):
        self._in.close()
        self._out.close()


class RawTap:
    """The file of a tap of the host: what is written arrives at the host's device."""

    def __init__(self, host, device):
        self._fd = open_tap(host, device)
        fcntl.ioctl(self._fd, TUNSETSNDBUF, (32 << 20).to_bytes(4, "little"))

    def send(self, chunk):
        for frame in chunk:
            os.write(self._fd, frame)

    def drain(self):
        found = []
        try:
            while True:
                found.append(os.read(self._fd, 65600))
        except BlockingIOError:
            return found

    def close(self):
        os.close(self._fd)


class RawFabric(Fabric):
    """A fabric whose ENIs named in `raw` have such guests, in self.wires."""

    def __init__(self, state, raw, **more):
        super().__init__(state, **more)
        self._raw = set(raw)
        self.wires = {}

    def namespace(self, name):
        """Quiet from the start: nobody probes for duplicates, the host has no IPv6 of its own to talk about."""
        namespace = super().namespace(name)
        namespace.sysctl(net__ipv6__conf__default__dad_transmits=0)
        if name == "host":
            namespace.sysctl(net__ipv6__conf__default__disable_ipv6=1)
        return namespace

    def plug(self, eni_id, device):
        if eni_id not in self._raw:
            super().plug(eni_id, device)
        elif device.startswith("tap"):
            self.wires[eni_id] = RawTap(self.host, device)
            self.host.ip(f"link set {device} mtu {self.mtu} txqueuelen 4000 up")
        else:
            self.wires[eni_id] = self.add_wire(eni_id, device)

    def add_wire(self, name, device):
        """A veth of the host whose other end is only watched."""
        guest = self.namespace(name)
        self.host.ip(f"link add {device} type veth peer name eth0 netns {guest.name}")
        guest.sysctl(net__ipv6__conf__eth0__disable_ipv6=1)
        guest.ip("link set eth0 arp off", f"link set eth0 mtu {self.mtu} up")
        self.host.ip(f"link set {device} mtu {self.mtu} up")
        return RawVeth(guest)

    def close(self):
        for wire in self.wires.values():
            wire.close()
        self.wires.clear()
        super().close()


class StackCounter:
    """How many frames of each device pass its TC hook and reach the host's own stack or bridge: an nftables counter in
    the device's ingress hook, which runs next."""

    def __init__(self, host, devices):
        self._host = host
        lines = ["add table netdev spoof"]
        for device in devices:
            lines += [f"add chain netdev spoof {device} {{ type filter hook ingress device {device} priority 0; }}",
                      f"add rule netdev spoof {device} counter"]
        host.run("nft", "-f", "-", text_in="\n".join(lines) + "\n")

    def read(self, device):
        text = self._host.run("nft", "list", "chain", "netdev", "spoof", device).stdout
        return int(text.split("counter packets ")[1].split()[0])
