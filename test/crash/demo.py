"""One demo instance: start, watch its log, kill its roles, start again. Ends only what it started,
through descriptors of processes (pidfd), so a number that was given to somebody else is never hit."""
import ctypes
import os
import random as random_module
import re
import select
import shlex
import signal
import socket
import subprocess
import time

PORTS = (25, 587, 465, 143, 993, 110, 995, 190, 80)
FIELD = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)')


class Failed(RuntimeError):
    """The run cannot go on: a sentence."""


def free_base():
    """A port base whose ports nobody holds, below the ports the kernel hands out."""
    for _ in range(200):
        base = random_module.randrange(12000, 31000)
        try:
            for port in PORTS:
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", base + port))
            return base
        except OSError:
            continue
    raise Failed("no free ports")


class Event:
    """A line of the log."""
    __slots__ = ("level", "name", "fields", "line", "time")

    def __init__(self, line):
        words = line.split(" ", 2)
        self.level, self.name = (words + ["", ""])[:2]
        self.fields = {k: v.strip('"') for k, v in FIELD.findall(line)}
        self.line = line
        self.time = time.time()

    @property
    def pid(self):
        number = self.fields.get("pid", "")
        return int(number) if number.isdigit() else 0


class Process:
    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        self.fd = os.pidfd_open(pid)

    def kill(self, number=signal.SIGKILL):
        try:
            signal.pidfd_send_signal(self.fd, number)
        except ProcessLookupError:
            pass

    def wait(self, seconds):
        """Has it ended?"""
        return bool(select.select([self.fd], [], [], max(0, seconds))[0])

    def close(self):
        os.close(self.fd)


class Watch:
    """Tells of the next write into a directory's files (inotify, which Python's library has not)."""
    IN_MODIFY = 2

    def __init__(self, directory):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0 or self.libc.inotify_add_watch(self.fd, os.fsencode(directory),
                                                      self.IN_MODIFY) < 0:
            raise Failed(f"cannot watch {directory}: {os.strerror(ctypes.get_errno())}")

    def wait(self, seconds):
        return bool(select.select([self.fd], [], [], seconds)[0])

    def close(self):
        os.close(self.fd)


class Demo:
    def __init__(self, program, directory, settings=(), environment=None):
        self.program = program
        self.directory = directory
        self.settings = list(settings)
        self.environment = environment
        self.base = free_base()
        self.log_path = os.path.join(directory, "server.log")
        self.log_at = 0
        self.events = []
        self.killed = set()  # pids whose end the log has still to tell
        self.ready = set()  # pids
        self.process = None
        self.env = {}

    # ---- start and end ----

    def start(self, seconds=60):
        self.follow()
        self.ready.clear()
        command = [self.program, "demo", "--dir", self.directory, "--port-base", str(self.base)]
        for s in self.settings:
            command += ["--set", s]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=log, env=self.environment,
                                            start_new_session=True)
        self._wait_ready(time.monotonic() + seconds)
        self._read_env()
        self.follow()

    def _wait_ready(self, until):
        text = b""
        while b"ready\n" not in text:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed("the demo did not get ready in time")
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                raise Failed(f"the demo ended with code {self.process.wait(10)} before it was ready")
            text += piece

    def _read_env(self):
        with open(os.path.join(self.directory, "demo.env")) as f:
            for line in f:
                words = shlex.split(line.strip())
                if words and "=" in words[0]:
                    name, value = words[0].split("=", 1)
                    self.env[name] = int(value) if value.isdigit() else value

    def stop(self, seconds=40):
        """SIGTERM; what does not end is killed, and that is a problem. Gives problems."""
        if not self.process or self.process.poll() is not None:
            return []
        roles = self.roles()
        self.process.terminate()
        problems = []
        try:
            code = self.process.wait(seconds)
            if code:
                problems.append(f"the demo ended with code {code} after SIGTERM")
        except subprocess.TimeoutExpired:
            problems.append("the demo did not end after SIGTERM")
            self.process.kill()
            self.process.wait()
        for p in roles.values():
            if not p.wait(5):
                problems.append(f"the {p.name} outlived its master")
                p.kill()
            p.close()
        return problems

    def kill_everything(self):
        """For the way out after a failure."""
        if self.process and self.process.poll() is None:
            roles = self.roles()
            self.process.kill()
            self.process.wait()
            for p in roles.values():
                p.kill()
                p.close()

    def command(self, *arguments, seconds=60):
        """Run a subcommand against this instance; its standard output."""
        r = subprocess.run([self.program, "--config", os.path.join(self.directory, "eilpost.conf"),
                            *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=seconds, check=False)
        if r.returncode:
            raise Failed(f"eilpost {' '.join(arguments)}: {r.stderr.decode(errors='replace').strip()}")
        return r.stdout.decode()

    # ---- its processes ----

    def roles(self):
        """{name: Process} of the children there are now. The caller closes them."""
        found = {}
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
                pids = [int(n) for n in f.read().split()]
        except OSError:
            return found
        for pid in pids:
            try:
                p = Process("?", pid)
            except OSError:
                continue
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                words = []
            if len(words) > 2 and words[1] == b"role" and not p.wait(0):
                p.name = words[2].decode()
                found[p.name] = p
            else:
                p.close()
        return found

    # ---- its log ----

    def follow(self):
        """Read what has been logged since; gives the new events."""
        try:
            with open(self.log_path, "rb") as f:
                f.seek(self.log_at)
                text = f.read()
        except FileNotFoundError:
            return []
        end = text.rfind(b"\n") + 1
        self.log_at += end
        new = [Event(line) for line in text[:end].decode("utf-8", "replace").split("\n") if line]
        self.events += new
        for e in new:
            if e.name == "role.ready":
                self.ready.add(e.pid)
            elif e.name == "role.ended":
                self.ready.discard(e.pid)  # the number may be given again
        return new

    def was_killed(self, pid):
        """Does one of our kills explain this end? Each explains one: numbers come again."""
        explained = pid in self.killed
        self.killed.discard(pid)
        return explained

    def wait_roles(self, names, seconds=30):
        """Wait until each of these roles runs and is ready. Those that we killed must have ended."""
        until = time.monotonic() + seconds
        missing = sorted(names)
        while missing:
            if self.process.poll() is not None:
                raise Failed(f"the master ended by itself with code {self.process.returncode}")
            self.follow()
            now = self.roles()
            missing = [n for n in sorted(names) if n not in now or now[n].pid not in self.ready]
            for p in now.values():
                p.close()
            if missing and time.monotonic() > until:
                raise Failed(f"not back within {seconds} s: {', '.join(missing)}")
            if missing:
                time.sleep(0.02)
