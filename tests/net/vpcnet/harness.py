# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a test script is made of.

A test is a function with the decorator @test; it fails by raising. The script ends with run(): a line `ok NAME` or
`FAIL NAME: why` for each, then `N passed, N failed`, and exit code 1 if any failed. Tests that share a fabric come from
a @scene: a generator that sets up, yields what its tests get as their argument, and tears down.
"""
import contextlib
import os
import signal
import sys
import time
import traceback

_scenes = []


class Failure(Exception):
    """A test's expectation was not met."""


def check(condition, why):
    if not condition:
        raise Failure(why)


def equal(found, wanted, what):
    if found != wanted:
        raise Failure(f"{what}: {found!r}, expected {wanted!r}")


def scene(function):
    """Decorator of a generator function: the world that the tests after it live in."""
    _scenes.append((contextlib.contextmanager(function), []))
    return function


def test(function):
    _scenes[-1][1].append(function)
    return function


def wait_for(condition, timeout, what, step=0.02):
    """Poll until condition() is true; returns its value."""
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Failure(f"not within {timeout:g} s: {what}")
        time.sleep(step)


def _end(number, _frame):
    raise SystemExit(128 + number)


def _explain(error):
    if isinstance(error, Failure):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({os.path.basename(place.filename)}:{place.lineno})"


def _run_scene(setup, tests, counts):
    names = [function.__name__ for function in tests]
    began = time.monotonic()
    try:
        with setup() as world:
            for function in tests:
                names.remove(function.__name__)
                _run_test(function, world, counts)
    except Exception as error:  # the set-up or the tear-down failed: every test that did not run has failed
        for name in names or [setup.__name__]:
            counts[1] += 1
            print(f"FAIL {name}: {_explain(error)}", flush=True)
    if "-v" in sys.argv:
        print(f"# {setup.__name__}: {time.monotonic() - began:.1f} s", flush=True)


def _run_test(function, world, counts):
    began = time.monotonic()
    try:
        function(world)
    except Exception as error:
        counts[1] += 1
        print(f"FAIL {function.__name__}: {_explain(error)}", flush=True)
    else:
        counts[0] += 1
        took = f" ({time.monotonic() - began:.1f} s)" if "-v" in sys.argv else ""
        print(f"ok {function.__name__}{took}", flush=True)


def run():
    """Run all tests, or those whose name contains one of the words given on the command line."""
    if os.geteuid():
        print(f"{sys.argv[0]}: needs root: it makes network namespaces and loads BPF programs", file=sys.stderr)
        sys.exit(2)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    counts = [0, 0]
    for setup, tests in _scenes:
        chosen = [t for t in tests if not words or any(word in t.__name__ for word in words)]
        if chosen:
            _run_scene(setup, chosen, counts)
    print(f"{counts[0]} passed, {counts[1]} failed", flush=True)
    sys.exit(1 if counts[1] else 0)
