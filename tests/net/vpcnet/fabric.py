# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The namespaces and cables that a desired state asks for.

One namespace is the host, where the agent runs. Every port of the host with a device gets a guest: a namespace whose
eth0 carries the ENI's MAC and addresses, with a default route by the subnet's router. A device whose name begins with
"tap" is a tap (a thread carries the frames between its file and the guest's own tap), any other one a veth. Behind the
uplink stands a namespace that is the internet: INTERNET4/INTERNET6, and the whole public range on-link.
"""
import errno
import fcntl
import os
import select
import stat
import struct
import subprocess
import threading

from vpcnet import frames
from vpcnet.netns import Namespace

UPLINK4, UPLINK6 = "198.51.100.1", "2001:db8:ffff::1"      # the host's side of the uplink
INTERNET4, INTERNET6 = "198.51.100.7", "2001:db8:ffff::7"  # a host of the internet
PUBLIC4 = "203.0.113.0/24"
SERVICE4, SERVICE = "52.218.0.0/17", "52.218.0.9"  # behind the uplink of a gateway endpoint, and who answers there
SITE4, SITE = "172.20.0.0/16", "172.20.0.7"  # behind that of a virtual private gateway, and a host there
ROUTER6 = "fe80:ec2::1"

TUN = "/dev/net/tun"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 0x0001, 0x0002, 0x1000


def open_tap(namespace, name, kind=IFF_TAP):
    """Make a tap or tun device; it lives as long as the returned file."""
    if not os.path.exists(TUN):  # a machine without udev; opening the node loads the module
        os.makedirs(os.path.dirname(TUN), exist_ok=True)
        os.mknod(TUN, 0o600 | stat.S_IFCHR, os.makedev(10, 200))
    with namespace.entered():
        fd = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | IFF_NO_PI))
    return fd


class TapCable:
    """Carries frames between two taps, and verifies the checksums of all that it carries."""

    def __init__(self, host, host_device, guest, guest_device):
        self.bad_checksums = []
        self.frames = 0
        self._fds = [open_tap(host, host_device), open_tap(guest, guest_device)]
        self._stop_r, self._stop_w = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self):
        other = dict(zip(self._fds, reversed(self._fds)))
        while True:
            ready, _, _ = select.select([*self._fds, self._stop_r], [], [])
            if self._stop_r in ready:
                return
            for fd in ready:
                try:
                    frame = os.read(fd, 65600)
                    fault = frames.checksum_fault(frame)
                    if fault:
                        self.bad_checksums.append(fault)
                    self.frames += 1
                    os.write(other[fd], frame)
                except OSError as error:  # a device that is down or whose queue is full loses frames, as a cable does
                    if error.errno not in (errno.EAGAIN, errno.EIO, errno.ENOBUFS, errno.EBADFD):
                        raise

    def close(self):
        os.write(self._stop_w, b"x")
        self._thread.join()
        for fd in (*self._fds, self._stop_r, self._stop_w):
            os.close(fd)


def make_fit_for_xdp(fabric, folder, guests):
    """XDP on a veth is known to hurt: the guest must make its own checksums, and needs an XDP program itself, or the
    kernel leaves what the host's end sends by XDP_TX in the queue; the other ends of the uplinks likewise. XDP leaves
    by the kernel's forwarding table: the uplinks must be forwarding, their neighbours known already."""
    source = b'__attribute__((section("xdp"), used)) int pass(void *ctx) { return 2; }\n'
    program = os.path.join(folder, "pass.o")
    subprocess.run(["clang", "-O2", "-target", "bpf", "-x", "c", "-c", "-", "-o", program], input=source, check=True)
    far = {fabric.internet: INTERNET4, fabric.service: "198.18.0.2", fabric.site: "198.18.1.2"}
    for namespace in (*guests, *far):
        if namespace:
            namespace.run("ethtool", "-K", "eth0", "tx", "off")
            namespace.ip(f"link set eth0 xdpdrv obj {program} sec xdp")
    for uplink in fabric.state.find("Hosts", fabric.host_id).get("Uplinks", ()):
        fabric.host.sysctl(**{f"net__ipv4__conf__{uplink['Device']}__forwarding": 1})
    for namespace, address in far.items():
        if namespace:  # the uplink carries no answer for the host, but ARP's
            fabric.host.run("ping", "-n", "-q", "-c", "1", "-W", "1", address, check=False)


class Fabric:
    """Everything around the agent for one host of a state. Use as a context manager."""

    def __init__(self, state, host_id=None, mtu=1500, prefix="wires", cable=TapCable):
        """cable: what carries the frames between two taps"""
        self.state = state
        self.make_cable = cable
        self.host_id = host_id or state["Hosts"][0]["HostId"]
        self.prefix = f"{prefix}-{os.getpid()}"
        self.mtu = mtu
        self.guests = {}
        self.cables = {}
        self.namespaces = []
        self.internet = self.service = self.site = None
        self.tuns = {}  # uplinks without an Ethernet header: device -> file

    def __enter__(self):
        try:
            self.host = self.namespace("host")
            # The ports carry the ENIs' traffic only: no addresses of the host's own, no router advertisements.
            self.host.sysctl(net__ipv6__conf__default__accept_ra=0, net__ipv6__conf__default__addr_gen_mode=1)
            host = self.state.find("Hosts", self.host_id)
            for uplink in host.get("Uplinks", ()):
                self._plug_uplink(uplink["GatewayId"], uplink["Device"])
            for port in host.get("Ports", ()):
                if port.get("Device"):
                    self.plug(port["NetworkInterfaceId"], port["Device"])
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for cable in self.cables.values():
            cable.close()
        self.cables.clear()
        for fd in self.tuns.values():
            os.close(fd)
        self.tuns.clear()
        for namespace in reversed(self.namespaces):
            namespace.close()
        self.namespaces.clear()

    def namespace(self, name):
        """One more namespace of this fabric. Its devices take no router advertisements, and tell of their multicast groups
        at once, not again at some time in the next ten seconds: tests count what guests send."""
        namespace = Namespace(f"{self.prefix}-{name}")
        self.namespaces.append(namespace)
        namespace.sysctl(net__ipv6__conf__default__accept_ra=0, net__ipv6__conf__default__mldv1_unsolicited_report_interval=20,
                         net__ipv6__conf__default__mldv2_unsolicited_report_interval=20)
        return namespace

    def guest(self, eni_id):
        return self.guests[eni_id]

    def plug(self, eni_id, device):
        """Cable a guest for the ENI to a new device of the host."""
        guest = self.guests.get(eni_id) or self.namespace(eni_id)
        self.guests[eni_id] = guest
        if device.startswith("tap"):
            self.cables[eni_id] = self.make_cable(self.host, device, guest, "eth0")
        else:
            self.host.ip(f"link add {device} type veth peer name eth0 netns {guest.name}")
        self.host.ip(f"link set {device} mtu {self.mtu} up")
        mac = self.state.find("NetworkInterfaces", eni_id)["MacAddress"]
        guest.ip(f"link set eth0 address {mac} mtu {self.mtu}", "link set eth0 up", *self._guest_lines(eni_id))

    def _guest_lines(self, eni_id):
        net4, net6 = self.state.networks(eni_id)
        eni = self.state.find("NetworkInterfaces", eni_id)
        lines = [f"addr add {entry['PrivateIpAddress']}/{net4.prefixlen} dev eth0"
                 for entry in eni.get("PrivateIpAddresses", ())]
        lines += [f"addr add {entry['Ipv6Address']}/{net6.prefixlen} dev eth0 nodad"
                  for entry in eni.get("Ipv6Addresses", ())]
        if net4 and eni.get("PrivateIpAddress"):
            lines.append(f"route add default via {net4[1]} dev eth0")
        if net6 and eni.get("Ipv6Addresses"):
            lines.append(f"route add ::/0 via {ROUTER6} dev eth0")
        return lines

    def unplug(self, eni_id, device):
        """Remove the device; the guest stays, without a network."""
        if eni_id in self.cables:
            self.cables.pop(eni_id).close()
        else:
            self.host.ip(f"link del {device}")

    def _plug_uplink(self, gateway, device):
        """A device whose name begins with "tun" is a tun, whose packets the test itself reads and writes."""
        if device.startswith("tun"):
            self.tuns[device] = open_tap(self.host, device, IFF_TUN)
            self.host.ip(f"link set {device} mtu {self.mtu} up")
        elif gateway.startswith("vpce-"):
            self._plug_service(device)
        elif gateway.startswith("vgw-"):
            self._plug_site(device)
        else:
            self._plug_internet(device)

    def _plug_internet(self, device):
        self.internet = self.namespace("internet")
        self.host.ip(f"link add {device} type veth peer name eth0 netns {self.internet.name}",
                     f"link set {device} addrgenmode eui64", f"link set {device} up", f"addr add {UPLINK4}/24 dev {device}",
                     f"addr add {UPLINK6}/64 dev {device} nodad")
        six = [entry["Ipv6CidrBlock"] for vpc in self.state["Vpcs"]
               for entry in vpc.get("Ipv6CidrBlockAssociationSet", ())]
        self.internet.ip("link set eth0 up", f"addr add {INTERNET4}/24 dev eth0",
                         f"addr add {INTERNET6}/64 dev eth0 nodad", f"route add {PUBLIC4} dev eth0",
                         *[f"route add {cidr} dev eth0" for cidr in six])
        self.host.ip(f"route add default via {INTERNET4} dev {device}",
                     f"route add ::/0 via {INTERNET6} dev {device}")

    def _plug_service(self, device):
        """What a gateway endpoint leads to: a host that has all addresses of SERVICE4."""
        self.service = self.namespace("service")
        self.host.ip(f"link add {device} type veth peer name eth0 netns {self.service.name}", f"link set {device} up",
                     f"addr add 198.18.0.1/30 dev {device}", f"route add {SERVICE4} via 198.18.0.2 dev {device}")
        self.service.ip("link set eth0 up", "addr add 198.18.0.2/30 dev eth0", f"route add local {SERVICE4} dev lo",
                        f"route add default via 198.18.0.1 src {SERVICE}")

    def _plug_site(self, device):
        """What a virtual private gateway leads to: a host on premises."""
        self.site = self.namespace("site")
        self.host.ip(f"link add {device} type veth peer name eth0 netns {self.site.name}", f"link set {device} up",
                     f"addr add 198.18.1.1/30 dev {device}", f"route add {SITE4} via 198.18.1.2 dev {device}")
        self.site.ip("link set eth0 up", "addr add 198.18.1.2/30 dev eth0", f"addr add {SITE}/32 dev eth0",
                     f"route add default via 198.18.1.1 src {SITE}")

    def add_far_host(self, address4="192.0.2.9", address6="2001:db8:fffe::9", mtu=1500):
        """A host one hop behind the internet's router: for traceroute and path MTU. Returns its namespace."""
        far = self.namespace("far")
        self.internet.ip(f"link add far type veth peer name eth0 netns {far.name}", f"link set far mtu {mtu} up",
                         "addr add 192.0.2.1/24 dev far", "addr add 2001:db8:fffe::1/64 dev far nodad")
        far.ip(f"link set eth0 mtu {mtu} up", f"addr add {address4}/24 dev eth0",
               f"addr add {address6}/64 dev eth0 nodad", "route add default via 192.0.2.1 advmss 1460",
               "route add ::/0 via 2001:db8:fffe::1 advmss 1440")
        self.internet.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1,
                             net__ipv4__icmp_ratelimit=0, net__ipv6__icmp__ratelimit=0)
        return far
