# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Raw Ethernet frames: build, send, watch, verify."""
import ipaddress
import socket
import struct
import threading
import time

ETH_P_ALL = 3
ETH_IP, ETH_IP6, ETH_ARP, ETH_VLAN, ETH_QINQ = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
PACKET_OUTGOING = 4
ROUTER_MAC = "02:65:6e:69:64:01"


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(source, target, ethertype, payload, tags=()):
    """tags: (ethertype, vlan id), outermost first."""
    header = mac_bytes(target) + mac_bytes(source)
    for tag_type, vlan in tags:
        header += struct.pack("!HH", tag_type, vlan)
    return header + struct.pack("!H", ethertype) + payload


def _pseudo(source, target, protocol, length):
    if source.version == 4:
        return source.packed + target.packed + struct.pack("!BBH", 0, protocol, length)
    return source.packed + target.packed + struct.pack("!IHBB", length, 0, 0, protocol)


def packet(source, target, protocol, body, checksum_at=None, ttl=64):
    """An IP packet; checksum_at = offset of the body's checksum that covers the pseudo header."""
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if checksum_at is not None:
        total = checksum(_pseudo(source, target, protocol, len(body)) + body) or 0xFFFF
        body = body[:checksum_at] + struct.pack("!H", total) + body[checksum_at + 2:]
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, ttl) + source.packed + target.packed + body
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, ttl, protocol, 0)
    header += source.packed + target.packed
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def udp(source, target, sport, dport, data=b"x" * 18):
    return packet(source, target, UDP, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data, 6)


def tcp(source, target, sport, dport, flags, seq=1, ack=0):
    return packet(source, target, TCP, struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 64240, 0, 0), 16)


def arp_request(sender_mac, sender, target):
    return struct.pack("!HHBBH", 1, ETH_IP, 6, 4, 1) + mac_bytes(sender_mac) + ipaddress.ip_address(sender).packed + \
        bytes(6) + ipaddress.ip_address(target).packed


def ethertype_of(ip_packet):
    return ETH_IP6 if ip_packet[0] >> 4 == 6 else ETH_IP


def send(namespace, device, frame, count=1, pause=0.0):
    """Send a frame out of a device, as a program with a packet socket does."""
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        for _ in range(count):
            sock.send(frame)
            if pause:
                time.sleep(pause)


def transport(frame):
    """(protocol, source port, destination port, source, target) of an untagged TCP or UDP frame, else None."""
    ethertype, = struct.unpack_from("!H", frame, 12)
    if ethertype == ETH_IP and len(frame) >= 34:
        protocol, offset = frame[23], 14 + (frame[14] & 15) * 4
        source, target = frame[26:30], frame[30:34]
    elif ethertype == ETH_IP6 and len(frame) >= 54:
        protocol, offset = frame[20], 54
        source, target = frame[22:38], frame[38:54]
    else:
        return None
    if protocol not in (TCP, UDP) or len(frame) < offset + 4:
        return None
    sport, dport = struct.unpack_from("!HH", frame, offset)
    return protocol, sport, dport, str(ipaddress.ip_address(source)), str(ipaddress.ip_address(target))


def checksum_fault(frame):
    """What is wrong with the checksums of a frame on the wire; None = nothing. Fragments are not looked into."""
    ethertype, = struct.unpack_from("!H", frame, 12)
    if ethertype == ETH_IP:
        head = (frame[14] & 15) * 4
        length, = struct.unpack_from("!H", frame, 16)
        if checksum(frame[14:14 + head]):
            return "IPv4 header checksum"
        if struct.unpack_from("!H", frame, 20)[0] & 0x3FFF:
            return None
        protocol, body = frame[23], frame[14 + head:14 + length]
        source, target = frame[26:30], frame[30:34]
    elif ethertype == ETH_IP6:
        length, protocol = struct.unpack_from("!HB", frame, 18)
        body = frame[54:54 + length]
        source, target = frame[22:38], frame[38:54]
    else:
        return None
    return _body_fault(protocol, ipaddress.ip_address(source), ipaddress.ip_address(target), body)


def _body_fault(protocol, source, target, body):
    names = {TCP: "TCP", UDP: "UDP", ICMP6: "ICMPv6"}
    if protocol == ICMP:
        return "ICMP checksum" if checksum(body) else None
    if protocol not in names or (protocol == UDP and source.version == 4 and body[6:8] == b"\0\0"):
        return None
    if checksum(_pseudo(source, target, protocol, len(body)) + body):
        return f"{names[protocol]} checksum from {source} to {target}"
    return None


class Watch:
    """Sees every frame that arrives at a device. matching(frame) chooses what is kept."""

    def __init__(self, namespace, device="eth0", matching=lambda frame: True):
        self.frames = []
        self._matching = matching
        self._running = True
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
            self._socket.bind((device, ETH_P_ALL))
        self._socket.settimeout(0.05)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                frame, (_, _, kind, _, _) = self._socket.recvfrom(65600)
            except TimeoutError:
                if not self._running:
                    return
                continue
            if kind != PACKET_OUTGOING and self._matching(frame):
                self.frames.append(frame)

    def stop(self):
        """All matching frames that arrived."""
        if self._running:
            self._running = False
            self._thread.join()
            self._socket.close()
        return self.frames

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
