# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`enid run` in the host's namespace, and the commands that look at it.

The agent of a test has its own state, run, pin and log folders. A state is in force when <run-dir>/applied.json has
been replaced, which is the last thing an agent does for a new state.
"""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from vpcnet.where import whereabouts

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
ENID = os.environ.get("ENID", os.path.join(REPO, "build", "enid"))
SLOW = float(os.environ.get("ENID_SLOW", "1"))  # limits are this much longer: a kernel under emulation is slow
USER = os.environ.get("ENID_USER", "64123")  # whom root becomes: nobody whom a machine knows
PINS = "/sys/fs/bpf"


class AgentError(Exception):
    """The agent did not do what was asked; the text has the end of its log."""


class Agent:
    """One agent for one fabric. Use as a context manager: it is stopped and everything of it detached at the end."""

    def __init__(self, fabric, max_flows=16384, folders=True):
        self.fabric = fabric
        self.folder = tempfile.mkdtemp(prefix=fabric.prefix + "-")
        self.state_dir, self.run_dir, self.log_dir = (os.path.join(self.folder, n) for n in ("state", "run", "log"))
        self.pin_dir = os.path.join(PINS, fabric.prefix)
        self.max_flows = max_flows
        self.process = None
        self.stderr_path = os.path.join(self.folder, "stderr")
        for folder in (self.state_dir, self.run_dir, self.log_dir):
            os.mkdir(folder, 0o755)
        if folders:
            fabric.state.save(self.state_dir)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        late = None
        try:
            self.stop()
        except AgentError as error:
            late = error
        try:
            self.command("detach", "--all", "--run-dir", self.run_dir)
        except (OSError, subprocess.SubprocessError):
            pass
        if os.path.isdir(self.pin_dir):
            shutil.rmtree(self.pin_dir, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        if late and kind is None:
            raise late
        if late:  # that it could not even start, say, is not to be hidden by that
            print(f"# {late}", flush=True)

    # ---- life

    def words(self, *more):
        """What start() starts."""
        return (ENID, "run", "--state", self.state_dir, "--host", self.fabric.host_id, "--run-dir", self.run_dir,
                "--pin-dir", self.pin_dir, "--log-dir", self.log_dir, "--user", USER,
                *(("--max-flows", str(self.max_flows)) if self.max_flows else ()), *more)

    def start(self, *more, timeout=60):
        """Start and wait for READY=1: a second and a half of CPU for the verifier, twenty seconds where ten others want it."""
        notify_path = os.path.join(self.folder, "notify")
        if os.path.exists(notify_path):
            os.unlink(notify_path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.stderr_path, "ab") as stderr:
            notify.bind(notify_path)
            os.chmod(notify_path, 0o666)  # as systemd's
            notify.setblocking(False)
            self.process = self.fabric.host.popen(*self.words(*more), stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                                  env={**os.environ, "NOTIFY_SOCKET": notify_path})
            self._wait_ready(notify, timeout * SLOW)

    def _wait_ready(self, notify, timeout):
        until = time.monotonic() + timeout
        with open(os.pidfd_open(self.process.pid), "rb", buffering=0) as end:
            while time.monotonic() < until:
                select.select([notify, end], [], [], max(0, until - time.monotonic()))
                try:
                    while b"READY=1" not in notify.recv(4096):
                        pass
                    return
                except BlockingIOError:
                    if self.process.poll() is not None:
                        raise AgentError(f"enid run: exit {self.process.returncode}\n{self.log_tail()}") from None
        raise AgentError(f"enid run: not ready after {timeout:.0f} s\n{whereabouts(self.process.pid)}\n"
                         f"{self.log_tail()}")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=10):
        """SIGTERM; the kernel goes on enforcing. Returns the exit code."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            where = whereabouts(self.process.pid)
            self.kill()
            raise AgentError(f"enid run: still there {timeout} s after SIGTERM\n{where}\n{self.log_tail()}") from None

    def log_tail(self, lines=15):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as log:
            return "".join("    | " + line for line in log.readlines()[-lines:])

    # ---- desired state

    def _applied(self):
        seen = []
        for name in ("applied.json", "applied.changes"):
            try:
                found = os.stat(os.path.join(self.run_dir, name))
                seen.append((found.st_ino, found.st_mtime_ns, found.st_size))
            except FileNotFoundError:
                seen.append(None)
        return seen

    def apply(self, write=None, timeout=30):
        """Write the state (or call write()), and wait until it is in force. Returns the seconds it took."""
        before, began = self._applied(), time.monotonic()
        if write:
            write()
        else:
            self.fabric.state.save(self.state_dir)
        while self._applied() == before:
            if time.monotonic() - began > timeout * SLOW:
                raise AgentError(f"the new state is not in force after {timeout} s\n{self.log_tail()}")
            time.sleep(0.005)
        return time.monotonic() - began

    # ---- looking

    def command(self, name, *arguments, check=False):
        """Run an enid command in the host's namespace with this agent's folders."""
        return self.fabric.host.run(ENID, name, *arguments, "--pin-dir", self.pin_dir, check=check, timeout=60 * SLOW)

    def status(self):
        done = self.command("status", "--json", "--run-dir", self.run_dir)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise AgentError(f"enid status --json: not JSON (exit {done.returncode}): "
                             f"{done.stdout[:200]!r} {done.stderr[:400]!r}") from None

    def drops(self):
        """Packets dropped so far, by reason."""
        counts = {}
        drops = self.status()["drops"]
        entries = drops.items() if isinstance(drops, dict) else ((entry["reason"], entry) for entry in drops)
        for reason, entry in entries:
            counts[reason] = entry["packets"] if isinstance(entry, dict) else entry
        return counts

    def dropped(self, before):
        """What was dropped since `before` = drops(), by reason, without the zeros."""
        return {reason: count - before.get(reason, 0) for reason, count in self.drops().items()
                if count > before.get(reason, 0)}

    def flow_log(self):
        """The lines of flow.log, split into fields."""
        try:
            with open(os.path.join(self.log_dir, "flow.log"), encoding="ascii") as log:
                return [line.split() for line in log]
        except FileNotFoundError:
            return []
