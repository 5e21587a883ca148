#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The README's FlowLogs, by a live agent: the tree, the folder, the collector; and which rules are in use. Formats and
destinations that are none are refused.

Needs root. Works in a network namespace of its own, with folders of its own; nothing of the host is touched."""
import glob
import gzip
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

from cli import ENID, REFERENCE, REPO, ROUTER, check, enid, main, silent_namespace, until

import frames  # pylint: disable=wrong-import-order

PINS = f"/sys/fs/bpf/enid-cli-flowlogs-{os.getpid()}"
SEND = """import socket, sys
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("g-web-a", 0))
for line in sys.stdin:
    out.send(bytes.fromhex(line))
"""
RECEIVE = """import socket
into = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
into.bind(("127.0.0.1", 4739))
print("ready", flush=True)
while True:
    print(into.recv(65536).hex(), flush=True)
"""


def readme_logs():
    with open(os.path.join(REPO, "README.md"), encoding="utf-8") as file:
        text = file.read()
    return json.loads(text[text.index('    {"FlowLogs": ['):].split("\n\n")[0])


def man_fields():
    """The example of enid-state(5), "FLOW LOGS": -> its FlowLogs object, and the lines that it is said to write."""
    with open(os.path.join(REPO, "deploy", "man", "enid-state.5"), encoding="utf-8") as file:
        text = file.read().replace("\\-", "-")
    logs, lines = text[text.index('{"FlowLogs": ['):].split("\n.EE", maxsplit=1)[0].split("\n\n")
    return json.loads(logs)["FlowLogs"], lines.splitlines()


class World:
    """A namespace with web-a's device, an agent, and somebody who listens for IPFIX."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="enid-flowlogs-")
        self.state, self.run, self.logs = (os.path.join(self.folder, name) for name in ("state", "run", "log"))
        shutil.copytree(REFERENCE, self.state)
        with open(os.path.join(self.state, "logs.json"), "w", encoding="utf-8") as out:
            json.dump({"FlowLogs": readme_logs()["FlowLogs"] + man_fields()[0]}, out)
        self.holder, self.inside = silent_namespace()
        self.agent = self.listener = None
        for words in ("link set lo up", "link add web-a type veth peer name g-web-a", "link set web-a up", "link set g-web-a up",
                      "link add uplink0 type veth peer name inet", "link set uplink0 up", "link set inet up",
                      "link add db type veth peer name g-db", "link set g-db addrgenmode none up", "link set db up"):
            subprocess.run([*self.inside, "ip", *words.split()], check=True)
        self.listener = subprocess.Popen([*self.inside, sys.executable, "-c", RECEIVE], stdout=subprocess.PIPE, text=True)
        self.listener.stdout.readline()

    def command(self, *words):
        return enid(*words, "--run-dir", self.run, "--pin-dir", PINS, before=self.inside)

    def start(self):
        with open(os.path.join(self.folder, "stderr"), "ab") as err:
            self.agent = subprocess.Popen(
                [*self.inside, ENID, "run", "--state", self.state, "--run-dir", self.run, "--pin-dir", PINS, "--log-dir",
                 self.logs, "--max-flows", "4096"], stderr=err)
        return until(lambda: self.command("status").code == 0, 60)

    def stop(self):
        self.agent.send_signal(signal.SIGTERM)
        return self.agent.wait(20)

    def send(self, *packets):
        text = "".join(packet.hex() + "\n" for packet in packets)
        subprocess.run([*self.inside, sys.executable, "-c", SEND], input=text, text=True, check=True)

    def close(self):
        for each in (self.agent, self.listener):
            if each and each.poll() is None:
                each.terminate()
                each.wait()
        self.command("detach", "--all")
        self.holder.kill()
        self.holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def syn(sport, dport):
    return frames.frame("02:20:01:0a:00:01", ROUTER, frames.packet("10.20.1.10", "10.20.11.10", 6, frames.tcp(sport, dport, "S")))


def ipfix_records(datagrams):
    """-> the records of IPv4 flows as fields of flow.log's lines, and the number of templates."""
    records, templates = [], 0
    layout = struct.Struct("!4s4sHHBBBBBIIIQQQQQ")
    for raw in datagrams:
        version, length = struct.unpack("!HH", raw[:4])
        check("an IPFIX header", version == 10 and length == len(raw), raw.hex())
        at = 16
        while at < len(raw):
            number, size = struct.unpack("!HH", raw[at:at + 4])
            templates += number == 2
            for start in range(at + 4, at + size - layout.size + 1, layout.size) if number == 256 else ():
                (src, dst, sport, dport, proto, _, _, status, *_, packets, size_of_all, _, first, last) = layout.unpack_from(raw, start)
                records.append([socket.inet_ntoa(src), socket.inet_ntoa(dst), *map(str, (sport, dport, proto, packets, size_of_all,
                                first // 1000, last // 1000)), "REJECT" if status == 130 else "ACCEPT"])
            at += size
    return records, templates


def tree(world):
    files = glob.glob(f"{world.logs}/AWSLogs/111122223333/vpcflowlogs/*/20[0-9][0-9]/*/*/*/*.log.gz")
    name = re.compile(r"111122223333_vpcflowlogs_[a-z0-9-]+_fl-tree_\d{8}T\d{4}Z_[0-9a-f]{8}\.log\.gz")
    check("the tree has whole files, named as S3's are", files and all(name.fullmatch(os.path.basename(f)) for f in files), files)
    check("... and none that is being filled", not glob.glob(f"{world.logs}/AWSLogs/**/*.part", recursive=True))
    for each in files:
        done = subprocess.run(["gzip", "-t", each], capture_output=True, check=False)
        check("gzip finds nothing wrong", done.returncode == 0, done.stderr)
    lines = [line for each in files for line in gzip.open(each, "rt").read().splitlines()]
    check("each begins with the names of the fields", lines.count(
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status") ==
        len(files), lines[:2])
    with open(os.path.join(world.logs, "flow.log"), encoding="ascii") as file:
        whole = sorted(line.rstrip() for line in file if "REJECT" in line or "ACCEPT" in line)
    check("... and holds the lines of the log file", sorted(line for line in lines if " OK" in line) == whole, (lines, whole))
    check("two verdicts", any("REJECT" in line for line in whole) and any("ACCEPT" in line for line in whole), whole)


def why(world):
    with open(os.path.join(world.logs, "fl-why", "flow.log"), encoding="ascii") as file:
        lines = file.read().splitlines()
    check("a format of one's own: the reject, its reason, and no rule that admits it", lines and
          re.fullmatch(r"10\.20\.1\.10 10\.20\.11\.10 22 \d+ \d+ REJECT sg-ingress -", lines[0]), lines)
    check("... and nothing that was accepted", not any("ACCEPT" in line for line in lines), lines)


def own_fields(world):
    with open(os.path.join(world.logs, "fl-fields", "flow.log"), encoding="ascii") as file:
        lines = {re.sub(r"\b[0-9a-f]{16}$", "ID", line.rstrip()) for line in file if "NODATA" not in line}
    said = {re.sub(r"\b[0-9a-f]{16}$", "ID", line) for line in man_fields()[1]}
    check("our own fields read as enid-state(5) says", lines == said and len(said) == 2, (lines, said))


def collector(world):
    world.listener.terminate()
    records, templates = ipfix_records([bytes.fromhex(line) for line in world.listener.stdout.read().split()])
    with open(os.path.join(world.logs, "flow.log"), encoding="ascii") as file:
        lines = [line.split()[3:13] for line in file if line.endswith(" OK\n")]
    check("a collector got templates and the same records", templates >= 1 and records and sorted(records) == sorted(lines),
          (templates, records, lines))


def rows(world, *words):
    done = world.command("show", "rules", "--json", *words)
    return {(row["stage"], row["id"], row["rule"]): row for row in done.json()} if done.code == 0 else done


def rules(world, when):
    used = ("sg-ingress", "sg-db", "IpPermissions[0]")
    shown, unused = rows(world), rows(world, "--unused")
    check(f"{when}: a rule that admitted has packets and a time", shown[used]["total"] == 1 and shown[used]["total_bytes"] > 0 and
          re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown[used]["last_use"] or ""), shown[used])
    check(f"{when}: ... and is not unused", used not in unused and set(unused) < set(shown), unused)
    check(f"{when}: rules of all three kinds that nobody met are", {row[0] for row in unused} >= {"sg-ingress", "nacl-ingress", "route"} and
          all(row["total"] == 0 and row["last_use"] is None for row in unused.values()), unused)
    routes = [row for key, row in shown.items() if key[0] == "route" and row["total"]]
    check(f"{when}: a route is used", len(routes) == 1 and routes[0]["rule"] == "10.20.0.0/16", routes)


def live():
    world = World()
    try:
        check("the agent is ready", world.start())
        done = world.command("show", "rules", "--unused", "--json")
        check("before any packet every rule is unused", done.code == 0 and len(done.json()) > 20, done)
        world.send(syn(40000, 3306), syn(40001, 22), syn(40001, 22))
        check("the packets are counted", until(lambda: sum(
            world.command("status", "--json").json()["drops"].get(name, {}).get("packets", 0)
            for name in ("sg-ingress", "not-served", "no-owner")) >= 2), world.command("status", "--json"))
        check("the agent ends", world.stop() == 0)
        tree(world)
        why(world)
        own_fields(world)
        collector(world)
        check("an agent comes back", world.start())
        rules(world, "after a restart")
        done = world.command("show", "flows", "--unused")
        check("--unused is about rules", done.code == 2, done)
    finally:
        world.close()


def refusals():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(REFERENCE, os.path.join(folder, "s"))
        for what, log, code in (
                ("the README's", readme_logs()["FlowLogs"][0], 0),
                ("a format without ${}", {"LogFormat": "version start"}, 1),
                ("an empty format", {"LogFormat": " "}, 1),
                ("a field that a later version may have", {"LogFormat": "${later}"}, 0),
                ("a collector by name", {"LogDestinationType": "ipfix", "LogDestination": "udp://host:1"}, 1),
                ("a collector without a port", {"LogDestinationType": "netflow9", "LogDestination": "udp://127.0.0.1"}, 1),
                ("a prefix that leaves the folder", {"LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::b/../../x"}, 1),
                ("a folder outside", {"FlowLogId": "..", "LogFormat": "${start}"}, 1),
                ("a folder of the log's name", {"FlowLogId": "flow.log", "LogFormat": "${start}"}, 1),
                ("a name that is no JSON", {"LogFormat": '${a"b}', "DestinationOptions": {"FileFormat": "json"}}, 1),
                ("a long prefix", {"LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::b" + "/0123456789" * 60}, 1),
                ("parquet", {"DestinationOptions": {"FileFormat": "parquet"}}, 0)):
            with open(os.path.join(folder, "s", "logs.json"), "w", encoding="utf-8") as out:
                json.dump({"FlowLogs": [{"FlowLogId": "fl-1", "ResourceId": "vpc-0reference", **log}]}, out)
            done = enid("check", os.path.join(folder, "s"))
            check(f"check: {what}: {'refused' if code else 'taken'}", done.code == code and (not code or "FlowLogs[0]" in done.err +
                  done.out), done)


if __name__ == "__main__":
    main(refusals, live)
