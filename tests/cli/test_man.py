#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Man pages and completion: every command has a page, with the options that its help has and no other; every reason stands
in enid(8); the pages are well-formed; completion offers what there is."""
import glob
import os
import re
import shutil
import subprocess

from cli import ENID, REPO, check, enid, main

PAGES = os.path.join(REPO, "deploy", "man")


def page(name):
    with open(os.path.join(PAGES, name), encoding="utf-8") as file:
        return file.read().replace("\\-", "-")


def commands():
    return re.findall(r"^  (\w+) ", enid("--help").out, re.M)


def options(text):
    return set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help", "--version"}


def pages():
    names = commands()
    check("as many commands as help has lines", len(names) >= 9 and "replay" in names, names)
    overview = page("enid.8")
    for name in names:
        text = page(f"enid-{name}.8")
        shown = options(text.split(".SH EXAMPLES", maxsplit=1)[0])
        check(f"enid-{name}(8) has the options of its help, and no other", options(enid(name, "--help").out) ==
              shown, (options(enid(name, "--help").out), shown))
        check(f"enid-{name}(8) says what its exit codes mean", re.search(r"\.SH EXIT STATUS\n0 .*2 misuse", text, re.S))
        check(f"enid(8) names enid-{name}(8)", f"enid-{name} (8)" in overview)
    check("nothing but commands has a page", sorted(os.listdir(PAGES)) ==
          sorted(["enid.8", "enid-state.5"] + [f"enid-{name}.8" for name in names]))


def reasons():
    with open(os.path.join(REPO, "include", "enid", "reasons.h"), encoding="utf-8") as file:
        table = file.read().split("enum enid_reason")[0]
    found = re.findall(r'X\(\w+, "([a-z0-9-]+)", "([^"]+)"\)', table)
    missing = [name for name, meaning in found[1:] if f".B {name}\n{meaning}\n" not in page("enid.8")]
    check("every reason stands in enid(8), with its meaning", len(found) > 40 and not missing, missing)


def form():
    if not shutil.which("groff"):
        return print("skip: no groff")
    for path in sorted(glob.glob(os.path.join(PAGES, "*"))):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", path], capture_output=True, check=False)
        check(f"{os.path.basename(path)} is set without a warning", not done.returncode and not done.stderr,
              done.stderr.decode()[:300])


def complete(*words):
    script = (f'. {REPO}/deploy/enid.bash-completion; compopt() {{ :; }}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _enid; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "-", ENID, *words], capture_output=True, check=False)
    return [word for word in done.stdout.decode().split() if word]


def completion():
    check("commands are completed", set(commands()) < set(complete("")) and complete("rep") == ["replay"], complete("rep"))
    check("options are completed", complete("run", "--no") == ["--no-tcx"] and complete("run", "--st") == ["--state"],
          complete("run", "--"))
    check("topics are completed", complete("show", "na") == ["nacls", "nat"] or complete("show", "na") == ["nat", "nacls"],
          complete("show", "na"))
    check("values of an option are completed", complete("replay", "--hook", "") == ["tc", "xdp"],
          complete("replay", "--hook", ""))


main(pages, reasons, form, completion)
