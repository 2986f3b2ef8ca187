"""A data directory that the version before has made: it is brought up to date, can be tried on a copy, and
goes back one version."""
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile

import pytest

from conftest import PROGRAM, ROOT, Demo
from mailbox_client import Imap, plain

MADE_BY = os.path.join(ROOT, "test", "data", "store-0005.tar.xz")

pytestmark = pytest.mark.embedded # files of its own


def eilpost(*args):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=120)


def format_of(data):
    with contextlib.closing(sqlite3.connect(data + "/index.db")) as db:
        return db.execute("SELECT version FROM index_version").fetchone()[0]


def columns(path):
    """{table: [(column, type, not null, default, key)]}, and the indexes."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        tables = [t for t, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        indexes = sorted(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
        return {t: [c[1:] for c in db.execute(f"PRAGMA table_info({t})")] for t in tables}, indexes


@pytest.fixture
def old(tmp_path):
    """The folder of a demo as the version before has left it."""
    with tarfile.open(MADE_BY) as tar:
        tar.extractall(tmp_path / "old")
    return str(tmp_path / "old")


def mail_of(demo):
    box = Imap(demo).login()
    found = {}
    for name in ("INBOX", "Projects/One", "Archive"):
        box.ok(f'EXAMINE "{name}"')
        found[name] = [re.search(rb"UID (\d+) FLAGS \(([^)]*)\) RFC822.SIZE (\d+)", line).groups()
                       for line in box.ok("UID FETCH 1:* (UID FLAGS RFC822.SIZE)")]
    box.ok("LOGOUT")
    return found


def rows_of(data, table):
    with contextlib.closing(sqlite3.connect(data + "/index.db")) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def check_mail(demo, archived=4):
    found = mail_of(demo)
    assert [uid for uid, *_ in found["INBOX"]] == [b"%d" % u for u in (1, 2, 3, 4, 7, 8, 9, 10, 11, 12)]
    assert found["INBOX"][2][1] == rb"\Seen \Flagged $Work"
    assert int(found["INBOX"][5][2]) > 300000 # a file of its own
    assert len(found["Projects/One"]) == 3 and len(found["Archive"]) == archived
    bodies = demo.messages()
    assert sum(b"line 7\r\n" in m for m in bodies) == 1
    done = eilpost("--config", demo.dir + "/eilpost.conf", "--json", "queue")
    assert "far@elsewhere.example" in done.stdout


def test_what_the_version_before_has_made_is_read(old):
    """T155: mail, folders, flags, aliases and the queue of the version before; a snapshot comes first."""
    demo = Demo(old)
    try:
        demo.begin_test()
        check_mail(demo)
        demo.end_test()
        demo.stop()
    finally:
        demo.kill()
    snapshots = os.listdir(old + "/data/snapshot")
    assert len(snapshots) == 1
    with contextlib.closing(sqlite3.connect(f"{old}/data/snapshot/{snapshots[0]}")) as db:
        assert db.execute("SELECT version FROM index_version").fetchone()[0] == 5
    done = eilpost("fsck", "--data", old + "/data")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_goes_back_one_version_and_forth_again(old, tmp_path):
    """T156: the tables are those of the version before, and the mail is still there after another upgrade."""
    data = old + "/data"
    before = columns(data + "/index.db")
    shutil.copytree(data, tmp_path / "copy") # an upgrade is tried on a copy
    done = eilpost("fsck", "--data", str(tmp_path / "copy"), "--rebuild")
    assert format_of(data) == 5 and format_of(tmp_path.as_posix() + "/copy") == 6, done.stdout + done.stderr
    demo = Demo(old)
    box = Imap(demo).login()
    box.append("Archive", plain("by the new version"))
    box.ok("LOGOUT")
    demo.stop()
    assert format_of(data) == 6
    assert rows_of(data, "thread_new") == 1
    threads = rows_of(data, "thread_key") + 1
    assert eilpost("fsck", "--data", data, "--to-format", "4").returncode != 0
    done = eilpost("fsck", "--data", data, "--to-format", "5")
    assert done.returncode == 0, done.stderr
    assert columns(data + "/index.db") == before
    newest = max(os.listdir(data + "/snapshot"))
    with contextlib.closing(sqlite3.connect(f"{data}/snapshot/{newest}")) as db: # which it can begin from
        assert db.execute("SELECT version FROM index_version").fetchone()[0] == 5
    assert rows_of(data, "thread_key") == threads # none is forgotten
    demo.start()
    try:
        demo.begin_test()
        check_mail(demo, archived=5)
        demo.end_test()
        demo.stop()
    finally:
        demo.kill()
    assert eilpost("fsck", "--data", data).returncode == 0


def files_in(folder):
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), "rb") as f:
                found[os.path.join(where, name)] = f.read()
    return found


def test_a_newer_one_is_left_alone(old):
    """T156: a format that we do not know: a clear sentence, and nothing is written."""
    with contextlib.closing(sqlite3.connect(old + "/data/index.db")) as db:
        db.execute("UPDATE index_version SET version = 99")
        db.commit()
    before = files_in(old + "/data")
    done = eilpost("fsck", "--data", old + "/data", "--repair")
    assert done.returncode == 4 and "newer version" in done.stdout, done.stdout + done.stderr
    done = eilpost("fsck", "--data", old + "/data", "--to-format", "5")
    assert done.returncode != 0 and "format 99" in done.stderr, done.stdout + done.stderr
    now = files_in(old + "/data") # SQLite leaves an empty write-ahead log and its map where it has read
    assert {name: now.get(name) for name in before} == before
