# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The second part of the demo: the architecture of every VPC course, and the gateways that make it one."""
import os
import re
import socket
import tempfile
import threading

from vpcnet import frames, traffic
from vpcnet.harness import wait_for
from vpcnet.services import Dnsmasq, query
from telling import Telling

COURSE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "examples", "course")
WORLD, ADMIN, STORE = "60.1.1.1", "60.1.1.99", "52.218.0.10"
WEB, WEB_PUBLIC, NAT, NAT_PUBLIC = "10.0.2.238", "50.1.1.10", "10.0.0.220", "50.1.1.220"
DB, STANDBY, TOOLS, VAULT = "10.0.3.87", "10.0.1.64", "10.1.1.10", "10.2.1.10"
SERVICE_NAME = "10.0.3.100"  # the database's floating address
HTTP, HTTPS, SSH, MYSQL = 80, 443, 22, 3306


class Course(Telling):
    def __init__(self, fabric, agent, listeners):
        super().__init__(fabric, agent, listeners)
        self.web, self.db, self.standby, self.tools, self.vault = (
            fabric.guest("eni-" + name) for name in ("web-2", "db", "standby", "tools", "vault"))
        self.internet.ip(f"addr add {WORLD}/32 dev lo", f"addr add {ADMIN}/32 dev lo", "route add 50.1.1.0/24 dev eth0")
        listeners.tcp(self.web, HTTP, HTTPS, SSH)
        for guest in (self.db, self.standby):
            listeners.tcp(guest, MYSQL, SSH)
        for guest in (self.internet, fabric.service, self.tools, self.vault):
            listeners.tcp(guest, HTTP)

    def scenes(self):
        return (self.world, self.nat, self.steps, self.failover, self.endpoint, self.peering, self.transit, self.services)

    def world(self):
        self.title(f"The world and {WEB}, which is {WEB_PUBLIC} outside")
        for port in (HTTP, HTTPS):
            self.attempt(f"{WORLD} reaches it on {port}", self.internet, WEB_PUBLIC, port, "open", source=WORLD)
        self.attempt(f"{WORLD} on 22: silence", self.internet, WEB_PUBLIC, SSH, "silent", source=WORLD)
        self.attempt(f"the administrator, {ADMIN}, on 22", self.internet, WEB_PUBLIC, SSH, "open", source=ADMIN)
        self.internet.ip("route add 10.0.0.0/16 dev eth0")
        self.attempt(f"nobody outside reaches the database, not even by {DB}", self.internet, DB, MYSQL, "silent")
        self.attempt("the web server does, by group reference", self.web, DB, MYSQL, "open")

    def nat(self):
        self.title("The NAT gateway")
        self.attempt(f"the database's host downloads from {WORLD}", self.db, WORLD, HTTP, "open", data=b"x" * 200000)
        self.tell(self.listeners.peers.get(HTTP) == NAT_PUBLIC, "the server there saw the gateway's address",
                  self.listeners.peers.get(HTTP))
        before = self.agent.drops()
        for port in (HTTP, SSH, 40000):
            self.attempt(f"unsolicited, {WORLD} to {NAT_PUBLIC}:{port}: dies", self.internet, NAT_PUBLIC, port, "silent",
                         source=WORLD)
        dropped = self.agent.dropped(before).get("nat-no-mapping", 0)
        self.tell(dropped >= 3, "counted as nat-no-mapping", f"{dropped} packets")

    def steps(self):
        """NAT-02. Two of the four wires between the seven steps are inside the data path, which rewrites once."""
        self.title("The header steps of NAT-02, as captured on the wires")
        with Capture(self.db) as inside, Capture(self.internet) as outside, self.db.socket() as client:
            client.settimeout(3)
            client.connect((WORLD, HTTP))
            port = client.getsockname()[1]
            mapped = wait_for(lambda: [s for s in outside.seen if s[:1] == (NAT_PUBLIC,) and s[2:] == (WORLD, HTTP)], 3,
                              "the SYN on the uplink")[-1][1]
            table = self.agent.command("show", "nat", "--run-dir", self.agent.run_dir).stdout
        for step, seen, packet in (
                ("1    client -> NAT      ", inside, (DB, port, WORLD, HTTP)),
                ("2, 3 NAT -> IGW -> world", outside, (NAT_PUBLIC, mapped, WORLD, HTTP)),
                ("4    world -> IGW       ", outside, (WORLD, HTTP, NAT_PUBLIC, mapped)),
                ("5-7  IGW -> NAT -> client", inside, (WORLD, HTTP, DB, port))):
            self.tell(packet in seen.seen, f"{step} {packet[0]}:{packet[1]} -> {packet[2]}:{packet[3]}")
        lines = [line for line in table.splitlines() if DB in line and str(port) in line]
        self.tell(lines, f"`enid show nat` has the mapping between steps 2 and 6, at {NAT}")
        self.show(lines[:1])

    def failover(self):
        self.title(f"A failover: {SERVICE_NAME} moves from the database to its standby, and no rule changes")
        rules = self.fingerprint("sgs.json")
        self.give(SERVICE_NAME, "eni-db", self.db, None)
        self.attempt(f"the web server finds the database at {SERVICE_NAME}", self.web, SERVICE_NAME, MYSQL, "open")
        self.tell(self.answers_as(self.web) == "eni-db", "it is the database that answers")
        self.give(SERVICE_NAME, "eni-standby", self.standby, self.db)
        self.attempt("the address is the standby's now: the web server gets an answer", self.web, SERVICE_NAME, MYSQL, "open")
        self.tell(self.answers_as(self.web) == "eni-standby", "it is the standby that answers")
        self.attempt(f"{TOOLS} of the peered VPC still does not", self.tools, SERVICE_NAME, MYSQL, "silent")
        self.tell(rules == self.fingerprint("sgs.json"), "no rule was changed for it")

    def give(self, address, owner, guest, before):
        """The ENI `owner` gets the address, as a secondary one, from whoever has it."""
        def change(state):
            for entry in state["NetworkInterfaces"]:
                entry["PrivateIpAddresses"] = [a for a in entry["PrivateIpAddresses"] if a["PrivateIpAddress"] != address]
            state.find("NetworkInterfaces", owner)["PrivateIpAddresses"].append({"Primary": False, "PrivateIpAddress": address})
        if before:
            before.ip(f"addr del {address}/32 dev lo")
        guest.ip(f"addr add {address}/32 dev lo")
        self.edit("enis.json", change)

    def answers_as(self, client):
        """Whose flow a new connection to the address is, by the kernel's record of it."""
        with traffic.Session(client, SERVICE_NAME, MYSQL) as session:
            port = f"sport={session.socket.getsockname()[1]} "
            session.echo()
            done = self.agent.command("show", "flows", "--run-dir", self.agent.run_dir)
        found = [re.search(r"eni-web-2>(\S+)", line) for line in done.stdout.splitlines() if port in line]
        return found[0].group(1) if found and found[0] else None

    def endpoint(self):
        self.title("A store behind a gateway endpoint")

        def close(state):
            routes = state.find("RouteTables", "rtb-private")["Routes"]
            routes[:] = [r for r in routes if r.get("DestinationCidrBlock") != "0.0.0.0/0"]
        self.edit("routes.json", close)
        self.attempt("the private subnets' route to the internet is gone: silence", self.db, WORLD, HTTP, "silent")
        self.attempt(f"the store at {STORE} answers all the same", self.db, STORE, HTTP, "open")
        self.tell(self.listeners.peers.get(HTTP) == DB, "and saw the private address", self.listeners.peers.get(HTTP))

    def peering(self):
        self.title("Peering is not transitive")
        self.attempt(f"the database's host to {TOOLS} in the peered VPC", self.db, TOOLS, HTTP, "open")
        self.attempt(f"{TOOLS} to {VAULT}, its own peer", self.tools, VAULT, HTTP, "open")
        before = self.agent.drops()
        self.attempt(f"the database's host to {VAULT}, behind the peered VPC: silence", self.db, VAULT, HTTP, "silent")
        self.tell(self.agent.dropped(before).get("peering", 0) > 0, "counted as peering")

    def transit(self):
        self.title("A transit gateway connects them")

        def attach(state):
            routes = state.find("RouteTables", "rtb-private")["Routes"]
            entry = next(r for r in routes if r.get("DestinationCidrBlock") == "10.2.0.0/16")
            del entry["VpcPeeringConnectionId"]
            entry["TransitGatewayId"] = "tgw-0hub"
        self.edit("routes.json", attach)
        self.attempt(f"10.2.0.0/16 leads to the transit gateway: {VAULT} answers", self.db, VAULT, HTTP, "open")

        def blackhole(state):
            state["TransitGatewayRoutes"][0]["Routes"].append(
                {"DestinationCidrBlock": "10.2.0.0/16", "Type": "static", "State": "blackhole"})
        before = self.agent.drops()
        self.edit("tgw.json", blackhole)
        self.attempt("its table says blackhole: silence", self.db, VAULT, HTTP, "silent")
        self.tell(self.agent.dropped(before).get("tgw-blackhole", 0) > 0, "counted as tgw-blackhole")


    def services(self):
        self.title("DHCP and DNS by the host's dnsmasq, as `enid services` sets it up")
        with tempfile.TemporaryDirectory() as folder:
            dnsmasq = Dnsmasq(self.fabric.host, [self.agent.state_dir], folder, f"address=/store.example/{STORE}\n")
            try:
                told = dnsmasq.lease(self.vault)
                self.tell((told["ip"], told["router"]) == (VAULT, "10.2.1.1"), "a guest that has a MAC and no more gets the "
                          "ENI's address and router", f"{told['ip']}, {told['router']}")
                found = query(self.vault, told["dns"], "store.example")
                self.tell(found == [STORE], f"and resolves a name at {told['dns']}", " ".join(found or ["silence"]))
                self.tell(query(self.tools, "10.0.0.2", "store.example") is None, "the resolver of another VPC is silent")
            finally:
                dnsmasq.close()


class Capture:
    """The TCP conversations on a device, both directions, as (source, port, destination, port)."""

    def __init__(self, namespace):
        self.seen, self._running = [], True
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(frames.ETH_P_ALL))
            self._socket.bind(("eth0", frames.ETH_P_ALL))
        self._socket.settimeout(0.05)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while self._running:
            try:
                frame = self._socket.recv(65600)
            except TimeoutError:
                continue
            if frame[12:14] == b"\x08\x00" and frame[23] == frames.TCP:
                self.seen.append((socket.inet_ntoa(frame[26:30]), int.from_bytes(frame[34:36], "big"),
                                  socket.inet_ntoa(frame[30:34]), int.from_bytes(frame[36:38], "big")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._running = False
        self._thread.join()
        self._socket.close()
