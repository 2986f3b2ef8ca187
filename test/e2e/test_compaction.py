"""What is dead goes from the disk of the running server, and nobody notices but the disk."""
import hashlib
import pathlib
import threading
import uuid

import pytest

from mailbox_client import Imap, literals, plain
from raw import Raw
from test_disk import until

pytestmark = pytest.mark.embedded

MEGA = 1 << 20
COUNT, KEEP, SIZE, LARGE = 300, 10, 80000, 400000  # every KEEPth stays


def name(message):
    """As long as it takes to tell whether it is another one."""
    return hashlib.sha256(message).hexdigest()[:20]


def filled(mark, size):
    return plain(mark, "".join(f"{mark} {n:060}\r\n" for n in range(size // 96)))


def used(demo):
    """Bytes of log and blobs, as `du` would count them."""
    files = [p for folder in ("log", "blob") for p in (pathlib.Path(demo.dir) / "data" / folder).rglob("*")]
    total = 0
    for f in files:
        try:
            total += f.stat().st_blocks * 512
        except FileNotFoundError:
            pass  # it has just gone
    return total


def deliver(demo, to, message):
    with Raw(demo) as s:
        s.reply()
        for line, code in (("EHLO x.test", 250), ("MAIL FROM:<them@far.test>", 250), (f"RCPT TO:<{to}>", 250),
                           ("DATA", 354)):
            s.send(line.encode() + b"\r\n")
            assert s.code() == code, line
        s.send(message + b".\r\n")
        assert s.code() == 250


def bodies(box, uids):
    """{uid: its name, of the message without what the server has put in front}"""
    found = {}
    for line in box.ok(f"UID FETCH {uids} (UID BODY.PEEK[])"):
        if b"BODY[] {" not in line:
            continue  # what others have changed
        uid = int(line.split(b"UID ")[1].split()[0].rstrip(b")"))
        data = literals(line)[0]
        found[uid] = name(data[data.index(b"From: "):])
    return found


class Reader(threading.Thread):
    """A client that reads what stays, again and again, and one that gets new mail."""

    def __init__(self, demo, want):
        super().__init__(daemon=True)
        self.demo, self.want, self.rounds, self.new, self.wrong, self.end = demo, want, 0, [], [], False

    def run(self):
        try:
            with Imap(self.demo, timeout=60).login() as box:
                box.ok("SELECT INBOX")
                while not self.end:
                    for uid, message in self.want.items():
                        if bodies(box, uid) != {uid: message}:
                            self.wrong.append(f"{uid} is another one")
                    message = filled(uuid.uuid4().hex, 3000)
                    deliver(self.demo, self.demo.USER1, message)
                    self.new.append(name(message))
                    self.rounds += 1
        except (AssertionError, OSError, IndexError, ValueError) as e:
            self.wrong.append(repr(e))


def test_what_is_dead_goes_while_a_client_reads_and_mail_arrives(start_demo):
    demo = start_demo("store.segment=1MB", "store.retention=1s")
    mails, size = [], 0
    for n in range(COUNT):
        message = filled(uuid.uuid4().hex, LARGE if n % 25 < 2 else SIZE)
        deliver(demo, demo.USER1, message)
        mails.append(name(message))
        size += 0 if n % KEEP else len(message)
    with Imap(demo, timeout=60).login() as box:
        box.ok("SELECT INBOX")
        there = bodies(box, "1:*")
        assert len(there) >= COUNT
        uid_of = {m: uid for uid, m in there.items()}
        want = {uid_of[m]: m for m in mails[::KEEP]}
        before = used(demo)
        reader = Reader(demo, want)
        reader.start()
        gone = ",".join(str(uid_of[m]) for n, m in enumerate(mails) if n % KEEP)
        box.ok(f"UID STORE {gone} +FLAGS.SILENT (\\Deleted)")
        box.ok("EXPUNGE")
    # What lives may take twice its size; then the segments that are made ahead, and what compaction writes.
    enough = 2 * size + 5 * MEGA
    assert before > 2 * enough
    until(lambda: reader.wrong or used(demo) <= enough, 120)
    demo.wait_log("store.compact .*segments=[1-9]")
    reader.end = True
    reader.join(90)
    assert not reader.wrong, reader.wrong
    assert reader.rounds > 1
    demo.stop()
    demo.start()
    with Imap(demo, timeout=60).login() as box:
        box.ok("SELECT INBOX")
        found = bodies(box, "1:*")
        others = [m for uid, m in there.items() if m not in mails]
        assert sorted(found.values()) == sorted([*want.values(), *reader.new, *others])
    assert used(demo) <= enough + MEGA
