#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The tools that people try a network with, across gateways of every kind: curl, iperf3, traceroute, nmap, and ping with
sizes around each MTU. A tool that is not there is skipped by its name."""
import hashlib
import http.server
import json
import os
import re
import shutil
import socketserver
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, gates, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import INTERNET4, INTERNET6, SERVICE, SITE, Fabric
from vpcnet.gates import A, A6, B, C, D, D6, NAT, P6, QNAT, QP
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, allow

FAR4, HTTP, IPERF = "192.0.2.9", 80, 5201
JUMBO = 9001
PAGE = bytes(range(256)) * 8192
WEB = ([allow("tcp", HTTP, *ANYWHERE), allow("tcp", 443, *ANYWHERE), allow("icmp", (8, -1), "0.0.0.0/0")], gates.TRACKED)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.clients.append(self.client_address[0].removeprefix("::ffff:"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


class Web(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A web server of a guest, in a thread of this process."""
    daemon_threads = True

    def __init__(self, guest):
        super().__init__(("::", HTTP), Page, bind_and_activate=False)
        self.socket.close()
        self.socket = guest.socket(10)
        self.clients = []
        self.server_name, self.server_port = "web", HTTP
        self.socket.setsockopt(41, 26, 0)  # not IPV6_V6ONLY
        self.socket.bind(("::", HTTP))
        self.server_activate()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent = fabric, agent
        self.points = {name: fabric.guest("eni-" + name) for name in gates.ENIS}
        self.points.update(x=fabric.internet, site=fabric.site, s3=fabric.service)
        self.far = fabric.add_far_host(FAR4)
        self.webs = {name: Web(self.points[name]) for name in ("x", "p", "b", "c", "d", "site", "s3")}

    def close(self):
        for web in self.webs.values():
            web.shutdown()
            web.server_close()


@scene
def tools():
    with Fabric(gates.make_state(rules={"p": WEB}), mtu=JUMBO) as fabric, Agent(fabric) as agent:
        agent.start()
        world = World(fabric, agent)
        try:
            yield world
        finally:
            world.close()


def missing(tool):
    if shutil.which(tool):
        return False
    print(f"skip {tool}: not installed", flush=True)
    return True


# who fetches from where, and who is seen there
FETCHES = [("a", INTERNET4, "x", QNAT), ("b", A, None, None), ("a", B, "b", A), ("a", C, "c", A), ("a", D, "d", A), ("a", SITE, "site", A),
           ("a", SERVICE, "s3", A), ("p", INTERNET4, "x", QP), ("a2", INTERNET4, "x", QNAT), ("x", QP, "p", INTERNET4), ("a", INTERNET6, "x", A6),
           ("p", INTERNET6, "x", P6), ("a", D6, "d", A6), ("x", P6, "p", INTERNET6)]


@test
def curl_fetches_by_every_gateway(world):
    """2 MiB each, whole, and the server sees whom it should."""
    if missing("curl"):
        return
    for name, target, server, seen in FETCHES:
        host = f"[{target}]" if ":" in target else target
        path = os.path.join(world.agent.folder, "page")
        done = world.points[name].run("curl", "-sS", "-o", path, "--connect-timeout", str(3 * SLOW), "-m", str(20 * SLOW),
                                      f"http://{host}/", check=False)
        if server is None:
            equal(done.returncode, 7, f"curl from {name} to {target}, where nobody listens")
            continue
        equal((done.returncode, done.stderr), (0, ""), f"curl from {name} to {target}")
        with open(path, "rb") as page:
            equal(hashlib.sha256(page.read()).digest(), hashlib.sha256(PAGE).digest(), f"what {name} got of {target}")
        equal(world.webs[server].clients[-1], seen, f"whom {target} saw for {name}")


@test
def iperf3_both_ways(world):
    """Through the NAT, the transit and the virtual private gateway, there and back; all but what was under way at the end arrives."""
    if missing("iperf3"):
        return
    for server, target in (("x", INTERNET4), ("d", D), ("site", SITE)):
        for back in ((), ("-R",)):
            with world.points[server].popen("iperf3", "-s", "-1", "-p", str(IPERF), stdout=-3, stderr=-3) as listening:
                try:
                    wait_for(lambda: str(IPERF) in world.points[server].run("ss", "-ltnH").stdout, 5 * SLOW, "iperf3 listens")
                    done = world.points["a"].run("iperf3", "-c", target, "-p", str(IPERF), "-n", "32M", "-J", *back, check=False, timeout=60 * SLOW)
                finally:
                    listening.terminate()
            said = json.loads(done.stdout)
            check(not done.returncode and "error" not in said, f"iperf3 to {target} {back}: {said.get('error')}")
            check(said["end"]["sum_received"]["bytes"] > 24 << 20, f"iperf3 to {target} {back}: {said['end']['sum_received']}")


def hops(world, target, *options):
    text = world.points["a"].run("traceroute", "-n", "-q", "1", "-w", "1", "-m", "5", *options, target, check=False).stdout
    return [(re.findall(r"^ *\d+ +(\S+)", line) or ["?"])[0] for line in text.splitlines()[1:]]


@test
def traceroute_shows_the_nat_gateway(world):
    """NAT-20: by its private address; the implicit router and the internet gateway are no hops (RT-14). A transit gateway is one that
    keeps silent."""
    if missing("traceroute"):
        return
    for options in ((), ("-I",), ("-T", "-p", str(HTTP))):
        equal(hops(world, FAR4, *options), [NAT, INTERNET4, FAR4], f"the way to {FAR4} {options}")
    equal(hops(world, D), ["*", D], "the way over the transit gateway")
    equal(hops(world, C), [C], "the way over the peering")
    equal(hops(world, B), [B], "the way to a neighbour")


@test
def nmap_finds_no_way_into_the_nat_gateway(world):
    """D6: from outside, while flows live; nothing arrives at any guest, and nothing is told."""
    if missing("nmap"):
        return
    heard = []
    ears = [frames.Watch(world.points[name], matching=lambda frame: (frames.transport(frame) or [0] * 4)[3] == INTERNET4 and not
                         heard.append(frame)) for name in ("a", "a2", "b", "p", "m")]
    try:
        for scan, ports in (("-sS", "1-1024,40000-40100"), ("-sA", "1-1024"), ("-sU", "53,123,161,33434-33440")):
            equal(_nmap(world, QNAT, scan, ports) - {"filtered", "open|filtered"}, set(), f"{scan} of the NAT gateway's address")
    finally:
        for ear in ears:
            ear.stop()
    equal(len(heard), 0, "frames of the scans that reached a guest")
    check(not traffic.ping(world.points["x"], QNAT, False), "the NAT gateway's address answers ping")


@test
def nmap_finds_the_allowed_ports_only(world):
    if missing("nmap"):
        return
    done = _scan(world, QP, "-sS", "1-1024,5201,7000-7010,8080")
    found = {(int(port), state) for port, state in re.findall(r"(\d+)/([a-z|]+)/", done)}
    equal({one for one in found if one[1] != "filtered"}, {(HTTP, "open"), (443, "closed")}, "what nmap finds at the public address")


def _scan(world, target, scan, ports):
    return world.points["x"].run("nmap", "-n", "-Pn", "-T5", "--max-retries", "1", "--min-rate", "5000", "--disable-arp-ping", scan, "-p",
                                 ports, "-oG", "-", "-v", target).stdout


def _nmap(world, target, scan, ports):
    text = _scan(world, target, scan, ports)
    check("Ports:" in text or "Ignored State" in text, f"nmap said nothing: {text}")
    return set(re.findall(r"\d+/([a-z|]+)/", text)) | set(re.findall(r"Ignored State: (\S+)", text))


# who pings whom, and the largest packet of the way
SIZES = [("a", INTERNET4, 1500), ("p", INTERNET4, 1500), ("p", INTERNET6, 1500), ("a", INTERNET6, 1500), ("a", D, 8500), ("a", D6, 8500),
         ("a", C, JUMBO), ("a", B, JUMBO), ("a", SITE, 1500), ("a", SERVICE, 1500)]


@test
def ping_with_sizes_around_each_mtu(world):
    """The last size that fits is answered; of one byte more the sender hears the size of the way (NAT-19, IGW-09, TGW-13)."""
    for name, target, mtu in SIZES:
        head = 48 if ":" in target else 28
        guest = world.points[name]
        guest.run("ip", "route", "flush", "cache")
        guest.run("ip", "-6", "route", "flush", "cache")
        said = [_ping(guest, target, mtu - head + more, "-M", "do") for more in (1, 0, -1)]
        check(not said[0][0], f"{name} to {target}: {mtu + 1} bytes were answered")
        check(said[1][0] and said[2][0], f"{name} to {target}: {mtu} bytes were not answered: {said[1][1]}")
        if mtu != JUMBO:  # of what the guest itself cannot send nobody need tell it
            check(re.search(rf"mtu ?= ?{mtu}\b", said[0][1]), f"{name} to {target}: nobody said that {mtu} is the limit: {said[0][1]}")


@test
def ping_in_pieces(world):
    """Without DF the internet gateway cuts, and joins nothing: the receivers do."""
    for size in (1472, 1473, 3000, 8972):
        check(_ping(world.points["p"], INTERNET4, size, "-M", "dont")[0], f"ping of {size} bytes by the internet gateway")


def _ping(guest, target, size, *options):
    done = guest.run("ping", "-n", "-c", "1", "-W", str(max(1, round(SLOW))), "-s", str(size), *options, target, check=False)
    return " 1 received" in done.stdout, done.stdout + done.stderr


if __name__ == "__main__":
    run()
