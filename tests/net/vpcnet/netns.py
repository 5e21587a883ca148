# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Network namespaces, entered by one thread at a time with setns(2).

Only the calling thread moves, and a socket stays in the namespace it was made in. So one process holds the sockets of
every guest, and no helper process is needed. Programs started inside (`run`, `popen`) keep the mount namespace of the
caller: /sys/fs/bpf stays visible, which `ip netns exec` and `ip -n` would hide.
"""
import contextlib
import ctypes
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        errno = ctypes.get_errno()
        raise OSError(errno, "setns: " + os.strerror(errno))


class Namespace:
    """A named network namespace; made by the constructor, removed by close()."""

    def __init__(self, name):
        self.name = name
        self.path = "/run/netns/" + name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.ip("link set lo up")

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            subprocess.run(["ip", "netns", "del", self.name], check=False)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in this namespace while the context lasts."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self.fd)
            try:
                yield self
            finally:
                _setns(home)
        finally:
            os.close(home)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        with self.entered():
            return socket.socket(family, kind, proto)

    def run(self, *argv, check=True, timeout=120, text_in=None):
        """Run a program inside; returns the completed process with its output as text."""
        with self.entered():
            done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, input=text_in, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done

    def popen(self, *argv, **options):
        with self.entered():
            return subprocess.Popen(argv, **options)

    def ip(self, *lines):
        """ip(8) commands, all in one run."""
        self.run("ip", "-batch", "-", text_in="\n".join(lines) + "\n")

    def sysctl(self, **values):
        """sysctl(net__ipv4__ip_forward=1): two underscores stand for a slash."""
        with self.entered():
            for name, value in values.items():
                with open("/proc/sys/" + name.replace("__", "/"), "w", encoding="ascii") as entry:
                    entry.write(str(value))

    def set_offloads(self, device, on):
        """Segmentation, receive merging and checksums: all on or all off."""
        word = "on" if on else "off"
        features = [part for name in ("tx", "rx", "sg", "tso", "gso", "gro") for part in (name, word)]
        if on:  # checksums and scatter-gather first: segmentation depends on them
            self.run("ethtool", "-K", device, "tx", "on", "rx", "on", "sg", "on")
        self.run("ethtool", "-K", device, *features)

    def counter(self, device, name):
        """A counter of /proc/net/dev: rx_bytes, rx_packets, tx_bytes, tx_packets, ..."""
        columns = ("rx_bytes", "rx_packets", "rx_errs", "rx_drop", "rx_fifo", "rx_frame", "rx_compressed",
                   "rx_multicast", "tx_bytes", "tx_packets", "tx_errs", "tx_drop")
        with self.entered(), open("/proc/thread-self/net/dev", encoding="ascii") as lines:
            for line in lines:
                device_name, _, rest = line.partition(":")
                if device_name.strip() == device:
                    return int(rest.split()[columns.index(name)])
        raise KeyError(f"{self.name}: no device {device}")
