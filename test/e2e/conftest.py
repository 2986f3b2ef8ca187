"""The running program for end-to-end tests.

`demo` is one instance of `eilpost demo` for the whole run; `start_demo(...)` starts another with its own
settings for one test. Both watch the log: a line of level warn or error that the test has not
announced with `demo.expect(PATTERN)`, a sanitizer's report, or a process that died fails the test.
EILPOST names the program (build/eilpost unless set). With EILPOST_STORE=postgres every instance has a
fresh PostgreSQL database, of a server that the run starts, instead of its data folder; tests that are marked
`embedded` (they look at the log's files) are skipped then, and those marked `postgres` otherwise.
"""
import contextlib
import email
import imaplib
import os
import random
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test", "tools"))
import pgserver

PROGRAM = os.environ.get("EILPOST", os.path.join(ROOT, "build", "eilpost"))
# Sanitizers need memory of their own and a process without sandbox, which says so.
SANITIZED = os.path.exists(PROGRAM) and b"__asan_init" in open(PROGRAM, "rb").read()
OFFSETS = (25, 80, 110, 143, 190, 465, 587, 993, 995)
ON_POSTGRES = os.environ.get("EILPOST_STORE") == "postgres"
PLAIN = re.compile(r"^(debug|info) [a-z]" + ("|^warn sandbox.off " if SANITIZED else ""))
START_SECONDS = 60
STOP_SECONDS = 30


def pytest_configure(config):
    config.addinivalue_line("markers", "embedded: about the log and the files of the embedded store")
    config.addinivalue_line("markers", "postgres: about a store in PostgreSQL")


def pytest_collection_modifyitems(items):
    wrong, why = ("embedded", "not with PostgreSQL") if ON_POSTGRES else ("postgres", "only with PostgreSQL")
    for item in items:
        if item.get_closest_marker(wrong):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session", autouse=True)
def postgres_server():
    """For all instances of the run; None when they have their own folders."""
    if not ON_POSTGRES:
        yield None
        return
    Demo.server = pgserver.Server()
    yield Demo.server
    Demo.server.remove()


def port_is_free(port):
    with contextlib.closing(socket.socket()) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_base():
    """A port base whose ports are all free, below the range that the kernel hands out itself."""
    for _ in range(200):
        base = random.randrange(10000, 31000, 1000)
        if all(port_is_free(base + offset) for offset in OFFSETS):
            return base
    raise RuntimeError("no free ports")


class Demo:
    """One instance. What stands in demo.env is an attribute: demo.SMTP_PORT, demo.USER1 ..."""

    server = None  # a PostgreSQL server: each instance gets a database of its own there

    def __init__(self, folder, *settings, prepare=None, wait=True):
        """prepare(folder): what has to lie there before the first start. wait: until it is ready."""
        self.dir = str(folder)
        self.settings = settings
        if self.server and not any(s.startswith("store=") for s in settings):
            url = self.server.fresh()
            self.database = url.rpartition("/")[2]
            self.settings += ("store=" + url,)
        self.base = free_base()
        self.expected = []
        self.log_at = 0
        self.process = None
        os.makedirs(self.dir, exist_ok=True)
        if prepare:
            prepare(self.dir)
        self.launch()
        if wait:
            self.wait_ready()

    def start(self):
        self.launch()
        self.wait_ready()

    def launch(self):
        self.log_path = self.dir + ".log"
        command = [PROGRAM, "demo", "--dir", self.dir, "--port-base", str(self.base)]
        for s in self.settings:
            command += ["--set", s]
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.log, start_new_session=True)

    def wait_ready(self):
        self._wait_said_ready()
        with open(self.dir + "/demo.env") as f:
            for line in f:
                name, value = line.rstrip("\n").split("=", 1)
                value = "".join(shlex.split(value)) if name != "SENDMAIL" else shlex.split(value)[0]
                setattr(self, name, int(value) if name.endswith("_PORT") else value)
        self.tls = ssl.create_default_context(cafile=self.CAFILE)

    def _wait_said_ready(self):
        os.set_blocking(self.process.stdout.fileno(), False)
        until = time.monotonic() + START_SECONDS
        said = b""
        while b"ready\n" not in said:
            said += self.process.stdout.read() or b""
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                with open(self.log_path, errors="replace") as f:
                    pytest.fail(f"the demo did not start: {said!r}\n{f.read()[-4000:]}")
            time.sleep(0.02)

    def expect(self, pattern):
        """Log lines matching this are no surprise from now on (in this test)."""
        self.expected.append(re.compile(pattern))

    def log_lines(self):
        """All lines since the test began."""
        with open(self.log_path, "rb") as f:
            f.seek(self.log_at)
            return f.read().decode("utf-8", "replace").splitlines()

    def wait_log(self, pattern, seconds=10):
        """The first line that matches, waiting for it."""
        wanted = re.compile(pattern)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self.log_lines():
                if wanted.search(line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"not in the log: {pattern}\n" + "\n".join(self.log_lines()[-20:]))

    def surprises(self):
        return [line for line in self.log_lines() if line and not PLAIN.match(line) and
                not any(e.search(line) for e in self.expected)]

    def begin_test(self):
        self.expected = []
        self.log_at = os.path.getsize(self.log_path)

    def end_test(self):
        found = self.surprises()
        if self.process.poll() is not None:
            found.append(f"the demo has ended with {self.process.returncode}")
        if found:
            pytest.fail("in the log:\n" + "\n".join(found[:30]), pytrace=False)

    def stop(self):
        """SIGTERM; it must end cleanly."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail("the demo does not end on SIGTERM")
        self.log.close()
        assert code == 0, f"the demo ended with {code}"

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    # ---- what tests do with it ----

    def connect(self, port, timeout=15):
        return socket.create_connection((self.HOST, port), timeout)

    def roles(self):
        """{pid: name} of the processes that the demo has started."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, IndexError): # it may end while we look
                with open(f"/proc/{pid}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
                if parent == self.process.pid:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        found[int(pid)] = f.read().split(b"\0")[-2].decode()
        return found

    def imap(self, user=None, password=None):
        box = imaplib.IMAP4_SSL(self.TLS_NAME, self.IMAPS_PORT, ssl_context=self.tls, timeout=30)
        box.login(user or self.USER1, password or self.PASS1)
        return box

    def messages(self, who=1, folder="INBOX"):
        """All messages of USER1 or USER2, as bytes, in order."""
        box = self.imap(getattr(self, f"USER{who}"), getattr(self, f"PASS{who}"))
        try:
            box.select(folder, readonly=True)
            _, found = box.uid("SEARCH", None, "ALL")
            if not found[0]:
                return []
            _, parts = box.uid("FETCH", found[0].decode().replace(" ", ","), "(BODY.PEEK[])")
            return [p[1] for p in parts if isinstance(p, tuple)]
        finally:
            box.logout()

    def wait_message(self, text, who=1, seconds=15):
        """The message that holds these bytes, as bytes, waiting for it to arrive."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for m in self.messages(who):
                if text in m:
                    return m
            time.sleep(0.1)
        raise AssertionError(f"no message with {text!r}")

    def empty(self, who=1):
        """Delete everything in the inbox."""
        box = self.imap(getattr(self, f"USER{who}"), getattr(self, f"PASS{who}"))
        box.select("INBOX")
        box.uid("STORE", "1:*", "+FLAGS.SILENT", "\\Deleted")
        box.expunge()
        box.logout()


@pytest.fixture(scope="session")
def demo_instance(tmp_path_factory):
    d = Demo(tmp_path_factory.mktemp("demo") / "d")
    yield d
    d.begin_test()
    d.stop()
    found = d.surprises()
    assert not found, "while ending:\n" + "\n".join(found)


@pytest.fixture
def demo(demo_instance):
    if demo_instance.process.poll() is not None:
        pytest.fail("the demo is dead since an earlier test")
    demo_instance.begin_test()
    yield demo_instance
    demo_instance.end_test()


@pytest.fixture
def start_demo(tmp_path):
    """start_demo("name=value", ...) gives an instance of its own for this test; see Demo."""
    started = []

    def start(*settings, **how):
        d = Demo(tmp_path / f"demo{len(started)}", *settings, **how)
        started.append(d)
        return d

    yield start
    try:
        for d in started:
            if d.process.poll() is None:
                d.end_test()
                d.stop()
                d.end_test_after_stop = d.surprises()
                assert not d.end_test_after_stop, "\n".join(d.end_test_after_stop)
    finally:
        for d in started:
            d.kill()


def parse(message):
    return email.message_from_bytes(message)
