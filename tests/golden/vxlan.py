# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Copies of mirrored packets as SEMANTICS 13 has them, made without the product: TM-08..TM-12."""
import struct

import frames as F

OVERHEAD = 54        # TM-12
ALL = (1 << 64) - 1


def mixed(word, key):
    word = (word ^ key) * 0x9e3779b97f4a7c15 & ALL
    word ^= word >> 29
    return word * (key | 1) & ALL


def word(raw, at):
    """Four bytes of a packet as this machine (little-endian) reads them."""
    return struct.unpack_from("<I", raw, at)[0]


def source_port(body, ports=None):
    """TM-09, TM-10: 49152 and on, from addresses, protocol and ports; `ports`: of a later fragment, those of the first."""
    six = body[0] >> 4 == 6
    proto, l4 = (body[6], 40) if six else (body[9], (body[0] & 15) * 4)
    src, dst = (8, 24) if six else (12, 16)
    last = 12 if six else 0
    total = mixed(word(body, src + last) << 32 | word(body, dst + last), proto)
    if six:
        total += mixed(word(body, src + 4) << 32 | word(body, dst + 4), 1)
        total += mixed(word(body, src + 8) << 32 | word(body, dst + 8), 2)
    if proto in (F.TCP, F.UDP):
        raw = struct.pack("!HH", *ports) if ports else body[l4:l4 + 4]
        sport, dport = struct.unpack("<HH", raw)
        total += mixed(sport << 16 | dport, 3)
    return 0xc000 | (total & ALL) >> 32 & 0x3fff


def copy(frame, src, dst, vni, smac, dmac, length=None, mtu=9001, group=None, ttl=64, ports=None, sport=None):
    """The frame that a target gets: VXLAN (RFC 7348) in UDP without a checksum."""
    least = 55 if frame[12:14] == b"\x86\xdd" else 35
    keep = min(mtu - OVERHEAD + 14, 9230, max(length, least) if length else 1 << 20)
    inner = frame[:keep]
    udp = struct.pack("!HHHH", sport or source_port(frame[14:], ports), 4789, 16 + len(inner), 0)
    vxlan = struct.pack("!BBHI", 0x88 if group else 0x08, 0, group or 0, vni << 8)
    ip = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 36 + len(inner), 0, 0, ttl, F.UDP, 0) + F.ip(src) + F.ip(dst))
    ip[10:12] = struct.pack("!H", F.ones(bytes(ip)) ^ 0xffff)
    return F.mac(dmac) + F.mac(smac) + b"\x08\x00" + bytes(ip) + udp + vxlan + inner
