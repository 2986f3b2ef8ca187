"""eilpost fsck with the real program: nothing to say of what is whole, and what is broken is put right."""
import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess

import pytest

from conftest import PROGRAM
from mailbox_client import Imap, plain


def fsck(demo, *args):
    return subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", "fsck", *args],
                          capture_output=True, text=True, timeout=120)


def data_of(demo):
    with open(demo.dir + "/eilpost.conf") as f:
        return re.search(r'^data "?([^";]+)"?;', f.read(), re.M).group(1)


def break_index(demo, sql):
    db = sqlite3.connect(data_of(demo) + "/index.db")
    db.execute(sql)
    db.commit()
    db.close()


def fill(demo, count=5):
    box = Imap(demo).login()
    for i in range(count):
        box.append("INBOX", plain(f"number {i}", "x" * (400000 if i == 2 else 10) + "\r\n"))
    box.ok("LOGOUT")


def owners_of(folder):
    """Of all files but the vault's."""
    return {os.lstat(os.path.join(where, name)).st_uid for where, _, files in os.walk(folder) for name in files
            if name != "seal"}


def restart(demo):
    demo.start()
    demo.begin_test()


@pytest.mark.postgres
def test_a_database_is_left_to_its_own_tools(demo, tmp_path):
    for args in ((), ("--repair",)):
        done = fsck(demo, *args)
        assert done.returncode == 65 and "PostgreSQL" in done.stderr
    done = subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", "backup", str(tmp_path)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 65 and "pg_dump" in done.stderr


@pytest.mark.embedded
def test_a_running_server_is_looked_at_and_left_alone(demo):
    done = fsck(demo)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The server is running" in done.stdout
    done = fsck(demo, "--repair")
    assert done.returncode == 75 and "stop it first" in done.stderr


def files_of(folder):
    return {os.path.relpath(os.path.join(where, name), folder): open(os.path.join(where, name), "rb").read()
            for where, _, files in os.walk(folder) for name in files}


@pytest.mark.embedded
def test_after_a_kill_what_is_committed_is_seen_and_nothing_is_changed(start_demo):
    """The write-ahead log of the index is hot: it is read, and stays as it is."""
    demo = start_demo()
    demo.expect(".")  # a kill is loud
    fill(demo)
    demo.kill()
    before = files_of(data_of(demo))
    assert len(before["index.db-wal"]) > 0
    with contextlib.closing(sqlite3.connect(f"file:{data_of(demo)}/index.db?immutable=1", uri=True)) as db:
        assert "mailbox" not in str(db.execute("SELECT name FROM sqlite_master").fetchall()) or \
            db.execute("SELECT sum(messages) FROM mailbox").fetchone()[0] != 5  # it is only there
    done = fsck(demo)
    assert done.returncode == 0 and " bodies" in done.stdout, done.stdout + done.stderr
    assert int(re.search(r"(\d+) bodies", done.stdout)[1]) >= 5
    after = files_of(data_of(demo))
    before.pop("index.db-shm", None), after.pop("index.db-shm", None)  # shared memory, nothing of it lasts
    assert after == before
    restart(demo)


@pytest.mark.embedded
def test_counters_are_put_right(start_demo):
    """T128: an index that says something else than what is there."""
    demo = start_demo()
    fill(demo)
    demo.stop()
    assert fsck(demo).returncode == 0
    owners = owners_of(data_of(demo))
    break_index(demo, "UPDATE mailbox SET messages = messages + 7")
    done = fsck(demo, "--json")
    assert done.returncode == 4
    assert {f["check"] for f in json.loads(done.stdout)} >= {"mailbox.counters"}
    done = fsck(demo, "--repair")
    assert done.returncode == 1, done.stdout + done.stderr
    assert fsck(demo).returncode == 0
    assert owners_of(data_of(demo)) == owners
    restart(demo)
    assert len(demo.messages()) == 5


@pytest.mark.embedded
def test_an_index_made_anew_is_the_one_that_was_there(start_demo):
    """T128: the index is gone; uids, flags and UIDVALIDITY come back from the log."""
    demo = start_demo()
    fill(demo)
    box = Imap(demo).login()
    box.ok("SELECT INBOX")
    box.ok("SELECT INBOX")  # nothing is recent any more
    box.ok("UID STORE 2 +FLAGS (\\Flagged $Work)")
    before = box.ok("UID FETCH 1:* (UID FLAGS RFC822.SIZE)"), box.ok("STATUS INBOX (UIDVALIDITY UIDNEXT)")
    box.ok("LOGOUT")
    demo.stop()
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        if os.path.exists(data_of(demo) + "/" + name):
            os.remove(data_of(demo) + "/" + name)
    assert fsck(demo).returncode == 4
    done = fsck(demo, "--rebuild")
    assert done.returncode == 0, done.stdout + done.stderr
    restart(demo)
    box = Imap(demo).login()
    box.ok("SELECT INBOX")
    assert (box.ok("UID FETCH 1:* (UID FLAGS RFC822.SIZE)"), box.ok("STATUS INBOX (UIDVALIDITY UIDNEXT)")) == before
    box.ok("LOGOUT")


@pytest.mark.embedded
def test_what_is_lost_is_no_success(start_demo):
    """The last record is damaged: the repair goes over it, and says so to whoever looks at the exit code only."""
    demo = start_demo()
    fill(demo)
    demo.stop()
    with contextlib.closing(sqlite3.connect(data_of(demo) + "/index.db")) as db:
        segment, place = db.execute("SELECT segment, last_offset + 40 FROM log_position").fetchone()
    with open(f"{data_of(demo)}/log/{segment:010}.seg", "r+b") as f:
        f.seek(place)
        byte = f.read(1)[0]
        f.seek(place)
        f.write(bytes([byte ^ 1]))
    assert fsck(demo).returncode == 4
    done = fsck(demo, "--repair")
    assert done.returncode == 4 and "1 of them say what is lost" in done.stdout, done.stdout + done.stderr
    done = fsck(demo)
    assert done.returncode == 0, done.stdout + done.stderr
    restart(demo)
    assert len(demo.messages()) == 5


@pytest.mark.embedded
def test_without_its_log_the_server_goes_on_with_what_the_index_knows(start_demo, tmp_path):
    """The folder log/ is lost: logins, folders and flags stay, large mail is there, the rest says NO, and new mail
    comes; what an older backup has is put beside it."""
    demo = start_demo()
    fill(demo)
    backup = [PROGRAM, "--config", demo.dir + "/eilpost.conf", "backup", str(tmp_path / "backup")]
    assert subprocess.run(backup, capture_output=True, timeout=60).returncode == 0
    box = Imap(demo).login()
    box.ok("CREATE Kept")
    box.ok("SELECT INBOX")
    box.ok("UID STORE 2 +FLAGS (\\Flagged)")
    box.ok("LOGOUT")
    demo.stop()
    owners = owners_of(data_of(demo))
    shutil.rmtree(data_of(demo) + "/log")
    done = fsck(demo, "--repair")
    assert done.returncode == 4 and "--new-log" in done.stdout
    done = fsck(demo, "--new-log")
    assert done.returncode == 4 and "are lost" in done.stdout, done.stdout + done.stderr
    assert owners_of(data_of(demo)) == owners
    demo.start()
    box = Imap(demo).login()
    assert any("Kept" in str(line) for line in box.ok('LIST "" "*"'))
    box.append("INBOX", plain("new", "hello\r\n"))
    box.ok("SELECT INBOX")
    assert any("Flagged" in str(line) for line in box.ok("UID FETCH 2 FLAGS"))
    assert "x" * 1000 in str(box.ok("UID FETCH 3 BODY.PEEK[]"))
    assert box.cmd("UID FETCH 1 BODY.PEEK[]")[0] == "NO"
    assert "hello" in str(box.ok("UID FETCH 6 BODY.PEEK[]"))
    backup[3:] = ["restore", str(tmp_path / "backup"), "--account", demo.USER1]
    assert subprocess.run(backup, capture_output=True, timeout=60).returncode == 0
    box.ok("NOOP")
    said = str(box.ok("UID FETCH 7:* BODY.PEEK[]"))
    assert all(f"number {i}" in said for i in (0, 1, 3, 4)) and "number 2" not in said
    box.ok("LOGOUT")
