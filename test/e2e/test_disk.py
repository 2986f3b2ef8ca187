"""Disks that are full, read-only, slow or broken, and processes that may open nothing more: seen from outside.

Every message that is sent is in a ledger: what got its 250 is there once at the end, what was refused is not.
"""
import contextlib
import itertools
import os
import re
import signal
import subprocess
import threading
import time
import uuid

import pytest

from conftest import PROGRAM, SANITIZED, Demo
from mailbox_client import Imap, plain
from raw import Raw, submit
from test_courier import Sink, text, token
from test_undelete import command, run

pytestmark = pytest.mark.embedded

MEGA = 1 << 20
RESERVE = 16 * MEGA
ROUNDS = 12  # how often a disk fills
# For long runs (test/crash/run --disk N): how often in all, and on a disk of its own instead of in memory.
TIMES = max(1, int(os.environ.get("EILPOST_DISK_ROUNDS", "0")) // ROUNDS)
EXT4 = os.environ.get("EILPOST_DISK") == "ext4"
SETTINGS = ("store.segment=1MB", f"store.reserve={RESERVE >> 20}MB")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


def mounted(folder, *how):
    done = subprocess.run(["mount", *how, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A folder with 64 MiB of its own, as the demo's, which is stopped before it goes."""
    folder = tmp_path / "d"
    folder.mkdir()
    if EXT4:
        image = tmp_path / "disk.img"
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image), "64m"], check=True)
        mounted(folder, "-o", "loop", str(image))
    else:
        mounted(folder, "-t", "tmpfs", "-o", "size=64m,mode=755", "none")
    demos = []

    def start(*settings):
        demos.append(Demo(folder, *SETTINGS, *settings))
        demos[0].begin_test()
        return demos[0]

    try:
        yield start
        for d in demos:
            d.end_test()
            d.stop()
            assert not d.surprises()
    finally:
        for d in demos:
            d.kill()
        subprocess.run(["umount", "-l", str(folder)], check=False)


class Ledger:
    """Who was promised what."""

    def __init__(self, demo):
        self.demo, self.kept, self.refused, self.unknown = demo, set(), set(), set()
        self.stopping = threading.Event()
        self.order = []
        self.threads = []

    def send(self, size=20000):
        """One message over a session of its own; the code, None without one."""
        mark, code, asked = token(), None, False
        self.order.append(mark)
        try:
            with submit(self.demo) as s:
                s.ok(f"MAIL FROM:<{self.demo.USER1}>")
                code = s.cmd(f"RCPT TO:<{self.demo.USER1}>")[0]
                if code == 250:
                    s.ok("DATA", 354)
                    asked = True
                    s.send(text(mark, "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * (size // 72)) + b".\r\n")
                    code = (s.reply() or (None,))[0]
        except (OSError, AssertionError, TypeError):
            code = None
        (self.kept if code == 250 else self.unknown if asked and code is None else self.refused).add(mark)
        return code

    def load(self, count=2):
        def work():
            while not self.stopping.is_set():
                if self.send() != 250:
                    self.stopping.wait(0.05)
        self.threads = [threading.Thread(target=work) for _ in range(count)]
        for t in self.threads:
            t.start()

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join()
        self.stopping.clear()
        self.threads = []

    def check(self):
        with Imap(self.demo) as box:
            box.login()
            box.ok("SELECT INBOX")
            said = b"\n".join(box.ok("UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]"))
        there = re.findall(rb"Subject: ([0-9a-f]{32})", said)
        found = {m.decode() for m in there}
        assert len(found) == len(there), "something is there twice"
        assert self.kept <= found, f"lost: {len(self.kept - found)} of {len(self.kept)}"
        assert not self.refused & found, "what was refused is there"
        return len(found)


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.05)


def fill(demo, leave):
    """A file that leaves so many bytes of the disk."""
    free = os.statvfs(demo.dir)
    size = max(0, free.f_bavail * free.f_frsize - leave)
    with open(demo.dir + "/filler", "ab", buffering=0) as f, contextlib.suppress(OSError):
        for _ in range(size // MEGA):
            f.write(bytes(MEGA))
        f.write(bytes(size % MEGA))


def make_room(demo):
    os.unlink(demo.dir + "/filler")


def status(demo):
    done = run(demo, "status")
    return done.returncode, done.stdout


def store_pid(demo):
    return next((pid for pid, name in demo.roles().items() if name == "store"), None)


@contextlib.contextmanager
def disturbed(pid, call, how):
    """The kernel does this to that system call of the process, by strace."""
    done = subprocess.Popen(["strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e", f"trace={call}",
                             "-e", f"inject={call}:{how}"], stderr=subprocess.PIPE, text=True)
    for line in done.stderr:
        if "attached" in line:
            break
    else:
        pytest.skip("strace may not attach here")
    try:
        yield
    finally:
        done.send_signal(signal.SIGINT)
        done.wait(20)


def no_to_append(demo):
    with Imap(demo) as box:
        box.login()
        box.send(f"a APPEND INBOX {{{len(plain('no'))}+}}\r\n".encode() + plain("no") + b"\r\n")
        said = box.line()
        while not said.startswith(b"a "):
            said = box.line()
        return said.startswith(b"a NO [UNAVAILABLE] the server has no space left")


@needs_root
def test_a_full_disk_refuses_politely_and_recovers_alone(disk):
    """T118, T164: 452 before DATA, NO to APPEND; reading, expunging and results of the queue go on in the reserve;
    status says so. With space it goes on by itself, in the same process."""
    sink = Sink()
    sink.rcpt["joe@far.test"] = ["450 4.2.0 not now"]
    demo = disk(f"route.far.test=smtp://127.0.0.1:{sink.port}", "queue.first-retry=1s")
    store = store_pid(demo)
    ledger = Ledger(demo)
    for _ in range(5):
        assert ledger.send() == 250
    with submit(demo) as s:
        assert s.message(demo.USER1, "joe@far.test", text(token()))[0] == 250
    demo.wait_log("courier.delivery .*status=deferred")
    fill(demo, RESERVE - MEGA)
    until(lambda: status(demo)[0] == 69, 5)
    assert "disk nearly full" in status(demo)[1]
    with submit(demo) as s:
        s.ok(f"MAIL FROM:<{demo.USER1}>")
        assert s.cmd(f"RCPT TO:<{demo.USER1}>") == (452, ["4.3.1 not enough space now"])
    assert no_to_append(demo)
    sink.rcpt["joe@far.test"] = ["250 ok"]
    sink.wait(1)
    until(lambda: command(demo, "queue") == [])
    with Imap(demo) as box:
        box.login()
        box.ok("SELECT INBOX")
        assert b"yyyyy" in b"".join(box.ok("UID FETCH 1 BODY.PEEK[]"))
        box.ok("UID STORE 1 +FLAGS (\\Deleted)")
        box.ok("EXPUNGE")
        assert len([line for line in box.ok("UID FETCH 1:* (UID)") if b"FETCH" in line]) == 4
    make_room(demo)
    until(lambda: ledger.send() == 250)
    until(lambda: status(demo)[0] == 0, 5)
    assert store_pid(demo) == store
    ledger.kept.discard(ledger.order[0])
    ledger.check()
    sink.stop()


@needs_root
@pytest.mark.parametrize("time_", range(TIMES))
def test_the_disk_fills_and_empties_under_load(disk, time_):
    """T118: whatever is left, from the reserve to a page. The index never runs out of space in the middle: the store
    is the same process to the end."""
    leaves = RESERVE - MEGA, RESERVE // 2 + MEGA, RESERVE // 2 - MEGA, 3 * MEGA
    demo = disk()
    store = store_pid(demo)
    ledger = Ledger(demo)
    ledger.load()
    try:
        for leave in itertools.islice(itertools.cycle(leaves), ROUNDS):
            until(lambda: ledger.send(300000 if leave > 3 * MEGA else 1000) == 250)
            fill(demo, leave)
            until(lambda: ledger.send() == 452)
            assert status(demo)[0] == 69
            ledger.check()
            make_room(demo)
    finally:
        ledger.stop()
    until(lambda: ledger.send() == 250)
    assert store_pid(demo) == store
    assert ledger.check() >= len(ledger.kept) > ROUNDS
    assert len(ledger.refused) > ROUNDS and not ledger.unknown


@needs_root
def test_somebody_else_takes_the_last_byte(disk):
    """T118: with nothing at all left the index may fail in the middle. Then the store ends unanswered, and is there again,
    with all it promised, when there is space."""
    demo = disk()
    demo.expect(r"^(warn|error) (store|role|link)\.|^warn front")
    ledger = Ledger(demo)
    ledger.load()
    try:
        for _ in range(3):
            until(lambda: ledger.send() == 250, 40)
            fill(demo, 0)
            until(lambda: ledger.send() != 250)
            make_room(demo)
    finally:
        ledger.stop()
    until(lambda: ledger.send() == 250, 40)
    ledger.check()


@needs_root
def test_no_more_files_can_be_made(disk):
    """T125: out of inodes is out of space."""
    demo = disk()
    ledger = Ledger(demo)
    assert ledger.send() == 250
    subprocess.run(["mount", "-o", f"remount,nr_inodes={used_inodes(demo) + 4}", demo.dir], check=True)
    until(lambda: ledger.send() == 452)
    assert status(demo)[0] == 69
    with Imap(demo) as box:
        box.login()
        box.ok("SELECT INBOX")
        box.ok("UID STORE 1 +FLAGS (\\Flagged)")
    subprocess.run(["mount", "-o", "remount,nr_inodes=100000", demo.dir], check=True)
    until(lambda: ledger.send() == 250)
    ledger.check()


def used_inodes(demo):
    f = os.statvfs(demo.dir)
    return f.f_files - f.f_ffree


@needs_root
def test_a_read_only_disk_and_back(disk):
    """T123, T164: nothing is accepted while the disk is read-only, status says that the store is not there, and it comes back by
    itself."""
    demo = disk()
    demo.expect(r"^(warn|error) (store|role|link)\.|^warn front")
    ledger = Ledger(demo)
    assert ledger.send() == 250
    ledger.load(1)
    try:
        # A disk with files open for writing cannot be made read-only: so without the store, before it is there again.
        def read_only():
            os.kill(store_pid(demo) or 0, signal.SIGKILL) if store_pid(demo) else None
            return subprocess.run(["mount", "-o", "remount,ro", demo.dir], capture_output=True,
                                  check=False).returncode == 0
        until(read_only)
        until(lambda: status(demo)[0] != 0, 5)
        demo.wait_log("error .*ead-only file system", 20)
        subprocess.run(["mount", "-o", "remount,rw", demo.dir], check=True)
        until(lambda: ledger.send() == 250, 40)
    finally:
        ledger.stop()
    until(lambda: status(demo)[0] == 0)
    ledger.check()


@needs_root
def test_a_failed_flush_is_never_tried_again(disk):
    """T119: the store ends with nothing answered, the master starts it again, and what was promised is there."""
    demo = disk("sandbox=off") # strace fails a call by making it another, which is off the list
    demo.expect(r"^(warn|error) (store|role|link|sandbox)\.|^warn front")
    ledger = Ledger(demo)
    assert ledger.send() == 250
    for _ in range(3):
        store = store_pid(demo)
        with disturbed(store, "fdatasync", "error=EIO:when=1"):
            ledger.send()
            until(lambda: store_pid(demo) not in (None, store))
        until(lambda: ledger.send() == 250, 40)
    assert len([line for line in demo.log_lines() if "store.fatal" in line and "flush" in line]) == 3
    ledger.check()


@needs_root
def test_a_slow_flush_makes_batches_and_no_pile(disk):
    """T124: who waits for the same flush is answered by it; nothing is promised before."""
    demo = disk()
    ledger = Ledger(demo)
    assert ledger.send() == 250
    with disturbed(store_pid(demo), "fdatasync", "delay_enter=300000"):
        ledger.load(8)
        until(lambda: len(ledger.kept) > 30, 60)
        ledger.stop()
    assert not ledger.refused
    ledger.check()


@needs_root
def test_out_of_descriptors(disk):
    """T126: a front that cannot accept waits and goes on later; the store refuses what needs another file and goes on
    later. No process ends."""
    demo = disk("sandbox=off")
    demo.expect(r"^(warn|error) (store|sandbox)\.")
    before = demo.roles()
    pids = {name: pid for pid, name in before.items()}
    ledger = Ledger(demo)
    assert ledger.send() == 250
    with disturbed(pids["submit"], "accept4", "error=EMFILE"):
        waiting = Raw(demo, demo.SMTP_PORT)
        other = Raw(demo, demo.SUBMISSION_PORT)
    with waiting, other:
        waiting.hello()
        other.hello() # accepted in the end
    with disturbed(pids["store"], "openat", "error=EMFILE"):
        assert ledger.send(400000) in (451, 452) # a blob: a file of its own
        until(lambda: ledger.send(200000) in (451, 452)) # the next segment is another
    until(lambda: ledger.send(400000) == 250)
    assert demo.roles() == before
    ledger.check()
