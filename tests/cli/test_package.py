#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is packed, and how tight the unit is; tests/net/test_package.py installs and runs it."""
import hashlib
import os
import re
import subprocess
import tempfile

from cli import REPO, check, main

UNIT = os.path.join(REPO, "deploy", "enid.service")
EXPOSURE = 2.5  # of 10, as `systemd-analyze security` of systemd 252 counts
VERSION = "0.1+test3"
built = []


def call(*argv, **kw):
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=REPO, **kw)


def build():
    done = call("deploy/debian/build", "build", VERSION)
    check("the package is built", done.returncode == 0, done.stderr)
    return done.stdout.strip()


def exposure():
    done = call("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", UNIT)
    found = re.search(r"exposure level for enid.service: ([0-9.]+)", done.stdout)
    check(f"systemd-analyze security: at most {EXPOSURE}", found and float(found[1]) <= EXPOSURE and done.returncode == 0,
          found[1] if found else done.stderr)


def calls():
    """What the agent's own filter lets through, the unit's has to as well."""
    with open(UNIT, encoding="utf-8") as file:
        words = [word for line in re.findall(r"^SystemCallFilter=(.*)", file.read(), re.M) for word in [line.split()]]
    groups = {}
    for line in call("systemd-analyze", "syscall-filter").stdout.splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), [])
        elif line.startswith("  ") and "#" not in line:
            group.append(line.strip())

    def members(word):
        return {name for inner in groups[word] for name in members(inner)} if word in groups else {word}
    known, allowed = members("@known"), set()
    for line in words:
        taken = {name for word in line for name in members(word.lstrip("~"))}
        allowed = allowed - taken if line[0].startswith("~") else allowed | taken
    with open(os.path.join(REPO, "user", "agent", "filter.c"), encoding="utf-8") as file:
        own = set(re.findall(r"\bSYS_(\w+)", file.read()))
    check("the agent's own filter names calls", len(own) > 80, len(own))
    check("the unit allows what the agent's own filter does", not (own & known) - allowed, (own & known) - allowed)


def package():
    first = build()
    with open(first, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    second = build()
    with open(second, "rb") as file:
        check("twice the same package", hashlib.sha256(file.read()).hexdigest() == digest)
    built.append(second)


def lintian():
    done = call("lintian", "--allow-root", "--fail-on", "error,warning", built[0])
    check("lintian has neither error nor warning", done.returncode == 0 and not done.stdout.strip(), done.stdout + done.stderr)


def contents():
    """Everything that the make rule installs, no more, and nothing that others may write."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.path.join(folder, "root")
        call("make", "-s", "install", f"DESTDIR={root}")
        wanted = {os.path.relpath(os.path.join(path, name), root) for path, _, names in os.walk(root) for name in names}
    listed = [line.split(None, 5) for line in call("dpkg-deb", "-c", built[0]).stdout.splitlines()]
    files = {line[5][2:].removesuffix(".gz") for line in listed if not line[5].endswith("/")}
    check("all that make install installs is packed", not wanted - files, wanted - files)
    check("besides, only documents", all(name.startswith(("usr/share/doc/enid/", "usr/share/lintian/")) for name in files - wanted), files - wanted)
    check("the program, its pages and units are among it",
          {"usr/sbin/enid", "usr/share/man/man8/enid-run.8", "lib/systemd/system/enid.service", "usr/lib/sysusers.d/enid.conf",
           "usr/lib/tmpfiles.d/enid.conf", "usr/share/bash-completion/completions/enid"} <= files, files)
    check("all belongs to root, and only root writes", all(line[1] == "root/root" and line[0][5] == line[0][8] == "-" for line in listed))


def dependencies():
    fields = call("dpkg-deb", "-f", built[0], "Depends", "Version").stdout
    for library in ("libbpf", "libjansson", "libmnl", "libnftables", "libsystemd", "libc6"):
        check(f"the package depends on {library}", library in fields, fields)
    recommends = call("dpkg-deb", "-f", built[0], "Recommends").stdout
    check("it recommends the library that is loaded when metrics are served", "libmicrohttpd12" in recommends, recommends)
    check("the version is the one asked for", f"Version: {VERSION}" in fields, fields)


if __name__ == "__main__":
    main(exposure, calls, package, lintian, contents, dependencies)
