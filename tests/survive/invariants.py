# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What pinned maps must hold after a crash, and after the start that follows, by tests/survive/audit.c."""
import os
import subprocess

from world import REPO
from vpcnet.harness import check, equal

AUDITS = [os.path.join(REPO, "build", folder, "tests", "survive", "audit") for folder in ("", "layout")]
NOT_IN_FORCE = 3


class Invariants:
    """`variant`: a name for a state; the text of the maps that belongs to it is learnt where nothing went wrong."""

    def __init__(self, pin_dir):
        self.pin_dir, self.known = pin_dir, {}

    def _look(self, how):
        """[(build, policy in force)] of the sets of maps that judge."""
        found = []
        for audit in AUDITS:
            done = subprocess.run([audit, self.pin_dir, how], capture_output=True, text=True, timeout=60, check=False)
            if done.returncode != NOT_IN_FORCE:
                equal((done.returncode, done.stderr), (0, ""), f"audit of the maps ({how})")
                found.append((audit, done.stdout))
        return found

    def learn(self, variant):
        (audit, text), = self._look("dead")
        check(text.count("\n") > 20, f"hardly any policy: {text}")
        self.known[audit, variant] = text

    def _is_one_of(self, audit, text, variants, when):
        check(any(text == self.known[audit, variant] for variant in variants),
              f"the policy in force {when} is none of {sorted(variants)}:\n" + self._difference(audit, text, variants))

    def _difference(self, audit, text, variants):
        lines = set(text.splitlines())
        return "\n".join(f"{variant}: {mark} {line[:150]}" for variant in variants
                         for mark, some in (("+", lines - set(self.known[audit, variant].splitlines())),
                                            ("-", set(self.known[audit, variant].splitlines()) - lines))
                         for line in sorted(some)[:6])

    def after_a_death(self, variants, first):
        """The policy in force is one of the states, whole; before the first one there may be none at all.
        -> the number of its build: 0, or 1 = the other layout"""
        found = self._look("dead")
        if first and (not found or found[0][1].count("\n") == 1):  # the router's address
            return None
        equal(len(found), 1, "sets of maps in force")
        self._is_one_of(*found[0], variants, "of the dead agent")
        return AUDITS.index(found[0][0])

    def after_a_start(self, variant):
        (audit, text), = self._look("settled")
        self._is_one_of(audit, text, {variant}, "after the next start")
