# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the parts of the demo share: a line an attempt, a tick if it went as the state says, and edits of the state."""
import hashlib
import json
import os

from vpcnet import traffic
from vpcnet.vpc import State, write_json


class Telling:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.listeners = fabric, agent, listeners
        self.internet = fabric.internet
        self.crosses = self.ticks = 0

    @staticmethod
    def title(text):
        print(f"\n{text}", flush=True)

    def tell(self, good, text, found=""):
        self.ticks, self.crosses = self.ticks + bool(good), self.crosses + (not good)
        print(f"  {'✓' if good else '✗'} {text}{f'  ({found})' if found else ''}", flush=True)

    def attempt(self, text, guest, address, port, wanted, **more):
        """One TCP connection with an exchange of data; wanted = "open" or "silent"."""
        self.listeners.peers.clear()
        found = traffic.tcp(guest, address, port, expect_open=wanted == "open", **more)
        self.tell(found == wanted, text, found if found == wanted else f"{found}; expected {wanted}")

    @staticmethod
    def show(lines):
        for line in lines:
            print(f"      {line}", flush=True)

    # ---- changing the desired state: one file, written aside and renamed

    def edit(self, name, change):
        path = os.path.join(self.agent.state_dir, name)
        with open(path, encoding="utf-8") as source:
            content = State(json.load(source))
        result = change(content)
        self.agent.apply(lambda: write_json(path, content))
        return result

    def fingerprint(self, name):
        with open(os.path.join(self.agent.state_dir, name), "rb") as source:
            return hashlib.sha256(source.read()).digest()
