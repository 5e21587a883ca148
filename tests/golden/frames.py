# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Frames for the golden cases: build them, take them apart, check their checksums."""
import ipaddress
import struct

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip(text):
    return ipaddress.ip_address(text).packed


def canonical(text):
    return str(ipaddress.ip_address(text))


def ones(data):
    data = bytes(data) + b"\0" * (len(data) & 1)
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return s


def pseudo(src, dst, proto, length):
    return src + dst + struct.pack("!IHH", length, 0, proto)


# ---- building

def tcp(sport, dport, flags, seq=1000, ack=0, data=b"", options=b""):
    bits = sum(FLAGS[f] for f in flags)
    doff = (20 + len(options)) // 4
    return struct.pack("!HHIIBBHHH", sport, dport, seq, ack, doff << 4, bits, 8192, 0, 0) + options + data


def udp(sport, dport, data=b"hello"):
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def icmp(kind, code=0, rest=b"\0\0\0\0", data=b"enid-golden"):
    return struct.pack("!BBH", kind, code, 0) + rest + data


def echo(kind, ident, seq=1):
    return icmp(kind, 0, struct.pack("!HH", ident, seq))


def sealed(proto, src, dst, l4):
    """L4 bytes with their checksum."""
    at = {TCP: 16, UDP: 6, ICMP: 2, ICMP6: 2}.get(proto)
    if at is None or len(l4) < at + 2 or (proto == ICMP6) != (len(src) == 16) and proto in (ICMP, ICMP6):
        return l4
    zero = l4[:at] + b"\0\0" + l4[at + 2:]
    c = ~ones((b"" if proto == ICMP else pseudo(src, dst, proto, len(l4))) + zero) & 0xFFFF
    return l4[:at] + struct.pack("!H", c or (0xFFFF if proto == UDP else 0)) + l4[at + 2:]


def ip4(src, dst, proto, payload, ttl=64, ident=1, offset=0, more=False, options=b"", total=None, df=True):
    hl = 20 + len(options)
    frag = (0x2000 if more else 0) | offset // 8 | (0 if more or offset or not df else 0x4000)
    h = struct.pack("!BBHHHBBH", 0x40 | hl // 4, 0, total if total is not None else hl + len(payload), ident, frag,
                    ttl, proto, 0) + src + dst + options
    return h[:10] + struct.pack("!H", ~ones(h) & 0xFFFF) + h[12:] + payload


def ip6(src, dst, proto, payload, ttl=64, chain=()):
    """chain: (type, 8 bytes or more without the next-header byte) of extension headers."""
    kinds = [k for k, _ in chain] + [proto]
    ext = b"".join(bytes([kinds[i + 1]]) + body for i, (_, body) in enumerate(chain))
    return struct.pack("!IHBB", 6 << 28, len(ext) + len(payload), kinds[0], ttl) + src + dst + ext + payload


def packet(src, dst, proto, l4, **kw):
    s, d = ip(src), ip(dst)
    return (ip4 if len(s) == 4 else ip6)(s, d, proto, sealed(proto, s, d, l4), **kw)


def frame(smac, dmac, body):
    kind = {4: 0x0800, 6: 0x86DD}[body[0] >> 4]
    return mac(dmac) + mac(smac) + struct.pack("!H", kind) + body


def arp(smac, op, sha, spa, tpa, tha="00:00:00:00:00:00", dmac="ff:ff:ff:ff:ff:ff"):
    return mac(dmac) + mac(smac) + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, op) + mac(sha) + ip(spa) + mac(tha) + ip(tpa)


def solicit(smac, src, target, kind=135, ttl=255):
    t = ip(target)
    dst = ip("ff02::1:ff00:0")[:13] + t[13:]
    l4 = sealed(ICMP6, ip(src), dst, struct.pack("!BBHI", kind, 0, 0, 0) + t + b"\x01\x01" + mac(smac))
    return b"\x33\x33" + dst[12:] + mac(smac) + b"\x86\xdd" + ip6(ip(src), dst, ICMP6, l4, ttl)


# ---- taking apart

def text(raw):
    return str(ipaddress.ip_address(raw))


def layers(raw):
    """-> (src, dst, proto, ttl, offset of L4, end, fragment offset, more) of an IP packet that begins raw."""
    if raw[0] >> 4 == 4:
        frag = struct.unpack("!H", raw[6:8])[0]
        return (raw[12:16], raw[16:20], raw[9], raw[8], (raw[0] & 15) * 4, struct.unpack("!H", raw[2:4])[0],
                (frag & 0x1FFF) * 8, bool(frag & 0x2000))
    at, kind, offset, more = 40, raw[6], 0, False
    while kind in (0, 43, 44, 60) and not offset and at + 8 <= len(raw):
        if kind == 44:
            f = struct.unpack("!H", raw[at + 2:at + 4])[0]
            offset, more, kind, at = f & 0xFFF8, bool(f & 1), raw[at], at + 8
        else:
            kind, at = raw[at], at + (raw[at + 1] + 1) * 8
    return raw[8:24], raw[24:40], kind, raw[7], at, 40 + struct.unpack("!H", raw[4:6])[0], offset, more


def ports(o, prefix, proto, l4):
    if proto in (TCP, UDP) and len(l4) >= 4:
        o[prefix + "sport"], o[prefix + "dport"] = struct.unpack("!HH", l4[:4])


def announced(options):
    """The MSS among TCP options, or None."""
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 2 and at + 4 <= len(options):
            return struct.unpack("!H", options[at + 2:at + 4])[0]
        at += 1 if options[at] == 1 else max(options[at + 1:at + 2] or b"\x01")
    return None


def fields(raw):
    o = {"dmac": raw[0:6].hex(":"), "smac": raw[6:12].hex(":"), "etype": struct.unpack("!H", raw[12:14])[0]}
    if o["etype"] == 0x0806 and len(raw) >= 42:
        o.update(op=raw[21], sha=raw[22:28].hex(":"), spa=text(raw[28:32]), tha=raw[32:38].hex(":"), tpa=text(raw[38:42]))
    if o["etype"] not in (0x0800, 0x86DD):
        return o
    src, dst, proto, ttl, at, end, offset, more = layers(raw[14:])
    l4 = raw[14 + at:14 + end]
    o.update(src=text(src), dst=text(dst), proto=proto, ttl=ttl, bytes_ip=end, offset=offset, more=more)
    if len(src) == 4:
        o.update(df=bool(raw[20] & 0x40))
    if offset:
        return o
    if wrapped(raw):
        o.update(geneve_fields(raw))
    ports(o, "", proto, l4)
    if proto == TCP and len(l4) >= 20:
        o.update(flags=l4[13], seq=struct.unpack("!I", l4[4:8])[0], mss=announced(l4[20:(l4[12] >> 4) * 4]))
    if proto in (ICMP, ICMP6) and len(l4) >= 8:
        o.update(type=l4[0], code=l4[1], ident=struct.unpack("!H", l4[4:6])[0], rest=l4[4:8].hex())
        if proto == ICMP6 and l4[0] == 136:
            o.update(target=text(l4[8:24]), tlla=l4[26:32].hex(":"))
        elif l4[0] in ((3, 11, 12) if proto == ICMP else (1, 2, 3, 4)) and len(l4) >= 36:
            isrc, idst, iproto, _, iat, _, _, _ = layers(l4[8:])
            o.update(isrc=text(isrc), idst=text(idst))
            ports(o, "i", iproto, l4[8 + iat:])
    return o


def bad_quote(l4):
    """Of an ICMP error: the quoted IPv4 packet's sums, if it is quoted whole."""
    inner = l4[8:]
    if l4[0] not in (3, 11, 12) or len(inner) < 28 or ones(inner[:(inner[0] & 15) * 4]) != 0xFFFF:
        return "the quoted IP checksum is wrong" if l4[0] in (3, 11, 12) and len(inner) >= 20 else None
    whole = struct.unpack_from("!H", inner, 2)[0] == len(inner) and inner[9] != ICMP
    wrong = bad_checksum(b"\0" * 12 + b"\x08\0" + inner) if whole else None
    return "quoted: " + wrong if wrong else None


GENEVE, OUTER = 6081, 68


def wrapped(raw):
    """Is it what a Gateway Load Balancer endpoint sends to an appliance?"""
    return raw[12:14] == b"\x08\x00" and len(raw) >= 14 + OUTER and raw[23] == UDP and raw[36:38] == struct.pack("!H", GENEVE)


def inside(raw):
    """The frame in a wrapped one, with the same MACs."""
    return raw[:12] + raw[44:46] + raw[14 + OUTER:]


def geneve_fields(raw):
    """options: the header and all but the cookie; in_...: of the packet inside."""
    return {"options": raw[42:78].hex(), "cookie": raw[78:82].hex(),
            **{"in_" + k: v for k, v in fields(inside(raw)).items()}}


def turned(raw, change=(), inner=None, dmac="02:65:6e:69:64:01"):
    """A wrapped frame as the appliance sends it back: its addresses swapped, some bytes (offset, hex) changed."""
    raw = bytearray(mac(dmac) + mac("02:ff:ff:ff:fe:01") + raw[12:26] + raw[30:34] + raw[26:30] + raw[34:])
    if inner is not None:
        raw[14 + OUTER:] = inner
        raw[16:18], raw[38:40] = (struct.pack("!H", n + len(inner)) for n in (OUTER, OUTER - 20))
    for at, more in change:
        raw[at:at + len(more) // 2] = bytes.fromhex(more)
    raw[24:26] = b"\0\0"
    raw[24:26] = struct.pack("!H", ~ones(raw[14:34]) & 0xFFFF)
    return bytes(raw)


def bad_checksum(raw):
    if wrapped(raw) and bad_checksum(inside(raw)):
        return "inside: " + bad_checksum(inside(raw))
    if raw[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        return None
    p = raw[14:]
    src, dst, proto, _, at, end, offset, more = layers(p)
    l4 = p[at:end]
    if p[0] >> 4 == 4 and ones(p[:at]) != 0xFFFF:
        return "IP checksum is wrong"
    if offset or more or (proto == UDP and len(src) == 4 and l4[6:8] == b"\0\0"):
        return None
    if proto == ICMP and len(src) == 4:
        return bad_quote(l4) if ones(l4) == 0xFFFF else "ICMP checksum is wrong"
    if proto in (TCP, UDP) or proto == ICMP6 and len(src) == 16:
        return None if ones(pseudo(src, dst, proto, len(l4)) + l4) == 0xFFFF else "L4 checksum is wrong"
    return None


def describe(raw):
    try:
        return " ".join("%s=%s" % kv for kv in fields(raw).items())
    except (IndexError, struct.error, ValueError):
        return "%d bytes: %s" % (len(raw), raw[:40].hex())
