# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Prometheus' text format 0.0.4, read strictly: what promtool and the scraper would refuse is an error here."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)$")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


class Wrong(Exception):
    pass


def family_line(line, families):
    _, what, name, rest = line.split(" ", 3)
    if what == "HELP":
        if name in families or not rest:
            raise Wrong(f"a second or empty HELP: {line}")
        families[name] = {"help": rest, "samples": {}}
        return name
    if what != "TYPE" or list(families)[-1] != name or rest not in SUFFIXES or "type" in families[name]:
        raise Wrong(f"TYPE does not follow its HELP: {line}")
    families[name]["type"] = rest
    if (rest == "counter") != name.endswith("_total") or re.search(r"milli|micro|minutes|kilobytes", name):
        raise Wrong(f"a name against the conventions: {line}")
    return name


def sample_line(line, name, families):
    match = SAMPLE.match(line)
    if not match or name is None or "type" not in families[name]:
        raise Wrong(f"no sample: {line}")
    if match[1] not in [name + suffix for suffix in SUFFIXES[families[name]["type"]]]:
        raise Wrong(f"a sample of another family than {name}: {line}")
    labels = re.findall(LABEL, match[2] or "")
    key = (match[1], tuple(sorted(labels)))
    if key in families[name]["samples"] or len(dict(labels)) != len(labels):
        raise Wrong(f"twice: {line}")
    families[name]["samples"][key] = float(match[match.lastindex])


def histograms(families):
    for name, family in families.items():
        if family["type"] != "histogram":
            continue
        buckets = [(float(dict(labels)["le"]), value) for (sample, labels), value in family["samples"].items()
                   if sample == name + "_bucket"]
        values = [value for _, value in buckets]
        if buckets != sorted(buckets) or values != sorted(values) or buckets[-1][0] != float("inf") or \
                values[-1] != family["samples"][(name + "_count", ())]:
            raise Wrong(f"{name}: {buckets}")


def read(text):
    """-> {family: {"help", "type", "samples": {(name, ((label, value), ..)): number}}}; raises Wrong"""
    families, name = {}, None
    if not text.endswith("\n"):
        raise Wrong("the last line does not end")
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            name = family_line(line, families)
        else:
            sample_line(line, name, families)
    histograms(families)
    return families


def value(families, name, **labels):
    """Of one sample; None = there is none."""
    family = families.get(name) or families[re.sub("_(bucket|sum|count)$", "", name)]
    return family["samples"].get((name, tuple(sorted(labels.items()))))
