# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One guest sends as fast as it can, from a process of its own."""
import os
import signal
import struct
import time

from vpcnet import frames


class Flood:
    """A child that sends one frame of UDP or TCP with all source ports and many destination ports, until its time is
    over or the context ends; then `sent` says how many.

    flows: how many different ones there are, in turns. cpu: the one that all of it runs on."""

    def __init__(self, fabric, eni, packet, first_port, seconds, flows=16 << 16, cpu=None):
        self.namespace, self.seconds, self.flows, self.cpu = fabric.guest(eni), seconds, flows, cpu
        mac = fabric.state.find("NetworkInterfaces", eni)["MacAddress"]
        self.frame = bytearray(frames.ethernet(mac, frames.ROUTER_MAC, frames.ETH_IP, packet))
        self.first_port = first_port
        self.ended = False

    def __enter__(self):
        self.read, self.write = os.pipe()
        self.child = os.fork()
        if not self.child:
            try:
                signal.signal(signal.SIGUSR1, self._end)
                self._send()
            finally:
                os._exit(0)
        os.close(self.write)
        return self

    def _end(self, *_):
        self.ended = True

    def _send(self):
        if self.cpu is not None:
            os.sched_setaffinity(0, {self.cpu})
        with self.namespace.entered(), frames.socket.socket(frames.socket.AF_PACKET, frames.socket.SOCK_RAW) as sock:
            sock.bind(("eth0", 0))
            sent, until = 0, time.monotonic() + self.seconds
            while time.monotonic() < until and not self.ended:
                for _ in range(200):
                    flow = sent % self.flows
                    struct.pack_into("!HH", self.frame, 34, flow & 0xFFFF, self.first_port + flow // 65536)
                    try:
                        sock.send(self.frame)
                        sent += 1
                    except OSError:  # the device's queue is full
                        pass
        os.write(self.write, struct.pack("Q", sent))

    def end(self):
        os.kill(self.child, signal.SIGUSR1)

    def __exit__(self, kind, *_):
        if kind:
            self.end()
        self.sent, = struct.unpack("Q", os.read(self.read, 8))
        os.close(self.read)
        os.waitpid(self.child, 0)
