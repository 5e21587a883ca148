# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Pinned BPF maps as bytes, without a tool in between: a dump of 32,768 ports as text takes seconds."""
import ctypes
import mmap
import os
import re
import struct

SYS_BPF = 321
LOOKUP, UPDATE, DELETE, NEXT, OBJ_GET, INFO = 1, 2, 3, 4, 7, 15
MMAPABLE = 1 << 10
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command, attr):
    attr = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    done = _libc.syscall(SYS_BPF, command, attr, 128)
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


class Map:
    """One pinned map. Use as a context manager."""

    def __init__(self, path):
        name = ctypes.create_string_buffer(path.encode())
        self.fd = _bpf(OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))
        info = ctypes.create_string_buffer(128)
        _bpf(INFO, struct.pack("=IIQ", self.fd, 128, ctypes.addressof(info)))
        self.type, self.id, self.key_size, self.value_size, self.max, self.flags = struct.unpack_from("=6I", info.raw)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def _element(self, command, key, value=b""):
        key, value = ctypes.create_string_buffer(key, self.key_size), ctypes.create_string_buffer(value, self.value_size)
        _bpf(command, struct.pack("=IIQQQ", self.fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
        return value.raw

    def lookup(self, key):
        return self._element(LOOKUP, key)

    def update(self, key, value):
        self._element(UPDATE, key, value)

    def delete(self, key):
        key = ctypes.create_string_buffer(key, self.key_size)
        _bpf(DELETE, struct.pack("=IIQ", self.fd, 0, ctypes.addressof(key)))

    def keys(self):
        """Of a map that nobody changes meanwhile."""
        found, key = [], None
        while True:
            here = ctypes.create_string_buffer(key, self.key_size) if key is not None else None
            after = ctypes.create_string_buffer(self.key_size)
            try:
                _bpf(NEXT, struct.pack("=IIQQ", self.fd, 0, ctypes.addressof(here) if here else 0, ctypes.addressof(after)))
            except FileNotFoundError:
                return found
            key = after.raw
            found.append(key)

    def _there(self):
        """(key, value) of what is still there when it is looked up."""
        for key in self.keys():
            try:
                yield key, self.lookup(key)
            except FileNotFoundError:
                pass

    def elements(self):
        """{key: value}; of an array, of elements that are not all zero."""
        if not self.flags & MMAPABLE:
            return {key: value for key, value in self._there() if any(value) or self.type != 2}
        step = (self.value_size + 7) & ~7
        with mmap.mmap(self.fd, self.max * step, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            every, nothing = memory[:], bytes(step)
        return {struct.pack("=I", number): every[number * step:number * step + step] for number in range(self.max)
                if every[number * step:number * step + step] != nothing}


def pinned(pin_dir, name):
    layout = next(folder for folder in os.listdir(pin_dir) if re.fullmatch(r"v\d+(-[0-9a-f]{8})?", folder))
    return Map(os.path.join(pin_dir, layout, "maps", name))


def elements(pin_dir, name):
    with pinned(pin_dir, name) as found:
        return found.elements()
