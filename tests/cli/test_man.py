#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Man pages and completion: every command has a page, with the options that its help has and no other; every reason stands
in enid(8); the pages are well-formed; examples run; completion offers what there is."""
import glob
import os
import re
import shlex
import shutil
import subprocess
import tempfile

from cli import ENID, REFERENCE, REPO, SLOW, check, enid, main

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
        told, said = (re.findall(r"\b([0-3]) ", part.group()) for part in (re.search(r"Exit: .*", enid(name, "--help").out, re.S),
                      re.search(r"\.SH EXIT STATUS\n[^.]*(\.[^S][^.]*)*", text)))
        check(f"... and its help has the same ones", told == said and told[0] == "0", (told, said))
        check(f"enid(8) names enid-{name}(8)", f"enid-{name} (8)" in overview)
    check("nothing but commands has a page", sorted(os.listdir(PAGES)) ==
          sorted(["enid.8", "enid-state.5"] + [f"enid-{name}.8" for name in names]))


def reasons():
    with open(os.path.join(REPO, "include", "enid", "reasons.h"), encoding="utf-8") as file:
        table = file.read().split("enum enid_reason")[0]
    found = re.findall(r'X\(\w+, "([a-z0-9-]+)", "([^"]+)"\)', table)
    missing = [name for name, meaning in found[1:] if f".B {name}\n{meaning}\n" not in page("enid.8")]
    check("every reason stands in enid(8), with its meaning", len(found) > 40 and not missing, missing)
    numbers = re.findall(r"^(\d+)\t([a-z0-9-]+)$", page("enid-state.5"), re.M)
    check("enid-state(5) numbers the reasons as copies of dropped packets do",
          numbers == [(str(number), name) for number, (name, _) in enumerate(found)][1:], numbers)


def form():
    if not shutil.which("groff"):
        return print("skip: no groff")
    for path in sorted(glob.glob(os.path.join(PAGES, "*"))):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", path], capture_output=True, check=False)
        check(f"{os.path.basename(path)} is set without a warning", not done.returncode and not done.stderr,
              done.stderr.decode()[:300])
        with open(path, encoding="utf-8") as file:
            glued = [line for line in file if re.match(r"\.[BIR]{2} ", line) and len(shlex.split(line)) > 12]
        check("... and no line of it loses the blanks between its words", not glued, glued)


# Examples of these are not run, only held against the options that there are
LIVE = {"capture": "it wants an agent's hooks", "logs": "--follow never ends", "metrics": "it wants an agent's tables",
        "run": "it would take this host", "show": "it wants an agent's tables", "top": "it wants an agent's tables"}


def lines_of(name):
    return [line for part in re.findall(r"^\.SH EXAMPLES\n\.EX\n(.*?)^\.EE", page(name), re.S | re.M)
            for line in part.splitlines()]


def playable(line):
    """The example as it may be run anywhere: files in a folder of its own, no tool that is not here or changes the host."""
    line = line.replace("| sudo sh", "| sh -n").replace("> /etc/dnsmasq.d/", "> ").replace("/etc/enid/state", "state")
    if not shutil.which("dot"):
        line = line.replace("| dot -Tsvg", "| cat")
    if not shutil.which("jq"):
        line = re.sub(r"\| jq '.*'", "| cat", line)
    if os.geteuid() or not shutil.which("nft"):
        line = line.replace("| nft -c -f -", "| cat")
    line = line.replace("enid plan", "enid plan --run-dir none --pin-dir none")  # whatever is in force here
    if "explain" in line and not line.endswith(" state"):  # of the state in force, which may be another one here
        line += " state"
    line = line.replace("enid explain", "enid explain --static")  # needs no root; test_explain asks the programs
    return line


def played(line, folder):
    env = dict(os.environ, PATH=os.path.join(folder, "bin") + ":" + os.environ["PATH"])
    done = subprocess.run(["bash", "-o", "pipefail", "-c", playable(line)], cwd=folder, env=env,
                          capture_output=True, timeout=60 * SLOW, check=False)
    written = re.search(r"> (\S+)$", playable(line))
    out = os.path.getsize(os.path.join(folder, written[1])) if written else len(done.stdout)
    quiet = playable(line).endswith(("sh -n", "nft -c -f -", ".reason'"))  # nothing to do, nothing to say
    check(f"`{line}` does what it says", not done.returncode and (out or quiet), (done.returncode, out, done.stderr.decode()[:300]))


def examples():
    with tempfile.TemporaryDirectory(prefix="enid-man-") as folder:
        os.mkdir(os.path.join(folder, "bin"))
        os.symlink(ENID, os.path.join(folder, "bin", "enid"))
        for name in ("state", "new-state"):
            shutil.copytree(REFERENCE, os.path.join(folder, name))
        for path in glob.glob(os.path.join(REFERENCE, "*.json")):
            shutil.copy(path, folder)
        for name in commands():
            for line in lines_of(f"enid-{name}.8"):
                first = line.removeprefix("sudo ").split(" | ")[0]
                check(f"`{line}` has options of its command", first.split()[:2] == ["enid", name] and
                      options(first) <= options(enid(name, "--help").out), first)
                if name in LIVE or (os.geteuid() and name == "plan"):
                    print(f"skip: `{line}`: {LIVE.get(name, 'it loads programs: root')}")
                else:
                    played(line, folder)


def complete(*words):
    script = (f'. {REPO}/deploy/enid.bash-completion; compopt() {{ :; }}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _enid; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "-", ENID, *words], capture_output=True, check=False)
    return [word for word in done.stdout.decode().split() if word]


def completion():
    check("commands are completed", set(commands()) < set(complete("")) and complete("rep") == ["replay"], complete("rep"))
    check("options are completed", complete("run", "--no") == ["--no-tcx"] and complete("run", "--st") == ["--state"],
          complete("run", "--"))
    check("parts of top are completed", complete("top", "d") == ["drops"] and complete("top", "--on") == ["--once"],
          complete("top", ""))
    check("topics are completed", complete("show", "na") == ["nacls", "nat"] or complete("show", "na") == ["nat", "nacls"],
          complete("show", "na"))
    check("values of an option are completed", complete("replay", "--hook", "") == ["tc", "xdp"],
          complete("replay", "--hook", ""))
    check("... of logs and metrics, too", complete("logs", "--verdict", "r") == ["reject"] and
          complete("run", "--metrics-per-eni", "of") == ["off"] and complete("metrics", "--per-eni", "o") == ["on", "off"],
          complete("metrics", "--per-eni", "o"))
    check("... reasons of flow log records", complete("logs", "--reason", "sg") == ["sg-egress", "sg-ingress"] and
          "any" in complete("logs", "--reason", ""), complete("logs", "--reason", ""))
    check("... of explain, too", complete("explain", "--protocol", "ud") == ["udp"] and complete("explain", "--fr") == ["--from"],
          complete("explain", "--fr"))


main(pages, reasons, form, examples, completion)
