"""T122: a disk that forgets. What has rotted is not shown, and everything else is."""
import glob
import json
import poplib
import time
import uuid

import pytest

from conftest import ON_POSTGRES
from mailbox_client import Imap, literals, plain
from test_port import new_account, imap, rows, run
from test_recipients import command


def flip_in_database(demo, mark):
    changed = demo.server.sql(
        "UPDATE body_piece b SET data = set_byte(data, at, get_byte(data, at) # 4)"
        f" FROM (SELECT name, start, position('{mark}'::bytea IN data) + 39 AS at FROM body_piece) p"
        " WHERE b.name = p.name AND b.start = p.start AND at > 39 RETURNING 1", demo.database)
    assert changed == "1"


def flip(demo, mark):
    """One bit, some bytes behind the mark, wherever the store has put it."""
    if ON_POSTGRES:
        flip_in_database(demo, mark)
        return
    found = 0
    for path in glob.glob(demo.dir + "/data/log/*.seg") + glob.glob(demo.dir + "/data/blob/??/*"):
        with open(path, "r+b") as f:
            at = f.read().find(mark.encode())
            if at < 0:
                continue
            found += 1
            f.seek(at + 40)
            byte = f.read(1)[0]
            f.seek(at + 40)
            f.write(bytes([byte ^ 4]))
    assert found == 1


def body(box, uid):
    """(status, text, the bytes that came)"""
    state, text, lines = box.cmd(f"UID FETCH {uid} (BODY.PEEK[])")
    return state, text, b"".join(b"".join(literals(line)) for line in lines)


@pytest.mark.parametrize("size", [2000, 900000])
def test_what_has_rotted_is_refused_and_the_rest_is_served(start_demo, size):
    demo = start_demo()
    demo.expect("store.rotten|pop3.unavailable")
    marks = [uuid.uuid4().hex for _ in range(3)]
    mails = [plain(m, m + "\r\n" + ("x" * 70 + "\r\n") * (size // 72)) for m in marks]
    with Imap(demo).login() as box:
        uids = [box.append("INBOX", m) for m in mails]
        flip(demo, f"\r\n{marks[1]}\r\n")
        box.ok("SELECT INBOX")
        assert body(box, uids[0]) == ("OK", "that is all", mails[0])
        state, text, got = body(box, uids[1])
        assert state == "NO" and "[CORRUPTION]" in text and got == b""
        state, text, got = body(box, f"{uids[0]}:{uids[2]}")
        assert state == "NO" and got == mails[0] + mails[2]
        # What is known of it without reading it is still shown; a search passes it by.
        assert marks[1].encode() in b"".join(box.ok(f"UID FETCH {uids[1]} (ENVELOPE)"))
        found = box.ok("UID SEARCH BODY xxxxxxxxxxxx")
        assert found == [b"* SEARCH %d %d" % (uids[0], uids[2])]
        assert box.ok("NOOP") is not None
    pop = poplib.POP3_SSL(demo.TLS_NAME, demo.POP3S_PORT, context=demo.tls, timeout=15)
    pop.user(demo.USER1)
    pop.pass_(demo.PASS1)
    with pytest.raises(poplib.error_proto, match=r"-ERR \[SYS/PERM\]"):
        pop.retr(2)
    assert marks[2].encode() in b"".join(pop.retr(3)[1])
    pop.quit()
    health = command(demo, "status", want=69)
    assert health["damaged"] == 1 and health["stuck_segments"] == 0 and "damaged on disk" in health["alarm"]


@pytest.mark.parametrize("form", ["maildir", "mbox", "eml"])
def test_what_was_exported_is_not_lost_with_it(start_demo, tmp_path, form):
    """The last message of an mbox is written again by the next export, unless that is the only copy by now."""
    demo = start_demo()
    demo.expect("store.rotten")
    login = new_account(demo)
    marks = [uuid.uuid4().hex for _ in range(2)]
    with imap(demo, login) as box:
        for mark in marks:
            box.append("INBOX", plain(mark, mark + "\r\n" + ("x" * 70 + "\r\n") * 30))
    where = tmp_path / "out"
    assert run(demo, "export", login, "--folder", "INBOX", "--format", form, where).returncode == 0
    flip(demo, f"\r\n{marks[1]}\r\n")
    with imap(demo, login) as box:
        box.append("INBOX", plain("third"))
    done = run(demo, "export", login, "--folder", "INBOX", "--format", form, where)
    assert done.returncode == (65 if form == "mbox" else 0), done.stderr
    got = b"".join(f.read_bytes() for f in sorted(where.rglob("*")) if f.is_file()) if where.is_dir() \
        else where.read_bytes()
    assert all(got.count(mark.encode()) == 2 for mark in marks) and b"Subject: third" in got
    # and of one that never went out the others do
    done = run(demo, "export", login, "--folder", "INBOX", "--format", form, tmp_path / "late")
    assert done.returncode == 65 and "message 2" in done.stderr, done.stderr


@pytest.mark.embedded
def test_what_nobody_reads_is_told_and_comes_back_from_a_backup(start_demo, tmp_path):
    """T166: the store reads its bodies by itself, a little at a time."""
    demo = start_demo()
    demo.expect("store.rotten")
    mark = uuid.uuid4().hex
    with Imap(demo).login() as box:
        box.append("INBOX", plain("fine"))
        box.append("INBOX", plain(mark, mark + "\r\n" + ("x" * 70 + "\r\n") * 30))
    assert run(demo, "backup", tmp_path / "backup").returncode == 0
    flip(demo, f"\r\n{mark}\r\n")
    until = time.monotonic() + 60
    while (done := run(demo, "status")).returncode == 0 and time.monotonic() < until:
        pass
    assert done.returncode == 69 and "1 message is damaged" in done.stderr, done.stdout + done.stderr
    for back in (1, 0):  # what is damaged is not there
        done = run(demo, "restore", tmp_path / "backup", "--account", demo.USER1)
        assert [r["brought back"] for r in json.loads(done.stdout) if r["folder"] == "INBOX"] == [back], done.stderr
    with Imap(demo).login() as box:
        box.ok("SELECT INBOX")
        assert body(box, 2)[0] == "NO" and mark.encode() in body(box, 3)[2]
