"""eilpost backup and restore: under load, somewhere else, and into a folder that holds others already."""
import glob
import json
import os
import re
import shutil
import smtplib
import subprocess
import threading

import pytest

from conftest import PROGRAM, Demo
from mailbox_client import Imap, plain

pytestmark = pytest.mark.embedded # files of its own


def eilpost(demo, *args):
    return subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", *args],
                          capture_output=True, text=True, timeout=120)


def must(demo, *args):
    done = eilpost(demo, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def data_of(demo):
    with open(demo.dir + "/eilpost.conf") as f:
        return re.search(r'^data "?([^";]+)"?;', f.read(), re.M).group(1)


class Load:
    """Sends until told to stop; knows what was answered."""

    def __init__(self, demo, number):
        self.demo, self.number = demo, number
        self.answered, self.failed, self.over = [], [], False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            smtp = smtplib.SMTP(self.demo.HOST, self.demo.SMTP_PORT, timeout=60)
            for i in range(100000):
                if self.over:
                    break
                mark = f"load-{self.number}-{i}"
                body = ("x" * 70 + "\r\n") * (5000 if i % 50 == 7 else 2)
                smtp.sendmail("them@sender.example", [self.demo.USER1], plain(mark, body))
                self.answered.append(mark)
            smtp.quit()
        except Exception as e: # pylint: disable=broad-except
            self.failed.append(e)

    def wait(self, count):
        while len(self.answered) < count and self.thread.is_alive():
            self.thread.join(0.05)

    def stop(self):
        self.over = True
        self.thread.join()
        assert not self.failed, self.failed


def subjects(demo):
    box = Imap(demo).login()
    box.ok("EXAMINE INBOX")
    said = box.ok("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    validity = re.search(rb"UIDVALIDITY (\d+)", b" ".join(box.ok("STATUS INBOX (UIDVALIDITY)")))[1]
    box.ok("LOGOUT")
    return {s.decode() for line in said for s in re.findall(rb"Subject: (\S+)", line)}, int(validity)


def restored(tmp_path, demo, backup, *options):
    """A demo's folder with other data: what the backup brings."""
    other = tmp_path / "other"
    shutil.copytree(demo.dir, other, ignore=lambda folder, names: ["data"])
    conf = (other / "eilpost.conf").read_text().replace(demo.dir, str(other))
    (other / "eilpost.conf").write_text(conf)
    done = subprocess.run([PROGRAM, "--config", str(other / "eilpost.conf"), "restore", backup, *options],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "queue is held" in done.stdout
    return other


def submit_elsewhere(demo):
    """One that waits for its time."""
    with smtplib.SMTP(demo.HOST, demo.SUBMISSION_PORT, timeout=30) as smtp:
        smtp.starttls(context=demo.tls)
        smtp.login(demo.USER1, demo.PASS1)
        smtp.sendmail(demo.USER1, ["far@elsewhere.example"],
                      plain("waits").replace(b"ann@example.test", demo.USER1.encode()), ["HOLDFOR=5000"])


def test_under_load_what_was_answered_comes_back_elsewhere(start_demo, tmp_path):
    """T161: made while mail comes in; T162: nothing that waited goes out again, and clients fetch anew."""
    demo = start_demo()
    backup = str(tmp_path / "backup")
    box = Imap(demo).login()
    box.append("INBOX", plain("first"))
    box.ok("LOGOUT")
    submit_elsewhere(demo)
    loads = [Load(demo, n) for n in range(3)]
    for load in loads:
        load.wait(30)
    must(demo, "backup", backup)
    before = [mark for load in loads for mark in list(load.answered)]
    (tmp_path / "key").write_text("") # of everybody
    seal = data_of(demo) + "/seal"
    os.rename(seal, seal + ".aside")
    os.symlink("/etc/passwd", seal)  # the key is the role's, and the command is root's
    assert eilpost(demo, "backup", backup, "--seal", str(tmp_path / "stolen")).returncode != 0
    assert not os.path.exists(tmp_path / "stolen")
    os.rename(seal + ".aside", seal)
    out = must(demo, "backup", backup, "--seal", str(tmp_path / "key"))
    for load in loads:
        load.stop()
    assert "of them new" in out
    assert os.stat(tmp_path / "key").st_mode & 0o777 == 0o600
    assert "is whole" in must(demo, "backup", backup, "--verify")
    _, validity = subjects(demo)
    demo.stop()
    other = restored(tmp_path, demo, backup, "--seal", str(tmp_path / "key"))
    again = Demo(other)
    try:
        again.begin_test()
        found, now = subjects(again)
        assert set(before) | {"first"} <= found
        assert now > validity
        queue = json.loads(must(again, "--json", "queue"))
        assert queue and {row["state"] for row in queue} == {"held"}
        # trace.db is in no backup: it is made again from the log that is
        assert len(json.loads(must(again, "--json", "trace", again.USER1))) > len(before)
        again.end_test()
        again.stop()
        assert eilpost(again, "fsck").returncode == 0
    finally:
        again.kill()


def test_one_account_and_one_folder_come_back_into_the_running_server(start_demo, tmp_path):
    demo = start_demo()
    backup = str(tmp_path / "backup")
    box = Imap(demo).login()
    box.ok('CREATE "Work/2026"')
    for i in range(5):
        box.append("Work/2026", plain(f"work-{i}"), "\\Flagged" if i == 2 else "")
        box.append("INBOX", plain(f"inbox-{i}", ("x" * 70 + "\r\n") * (5000 if i == 3 else 2)))
    must(demo, "backup", backup)
    box.ok('DELETE "Work/2026"')
    box.ok("SELECT INBOX")
    box.ok("UID STORE 2:4 +FLAGS (\\Deleted)")
    box.ok("EXPUNGE")
    must(demo, "restore", backup, "--account", demo.USER1, "--folder", "Work")
    box.ok('SELECT "Work/2026"')
    said = b" ".join(box.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    assert re.findall(rb"Subject: (\S+)", said) == [b"work-%d" % i for i in range(5)]
    assert said.count(b"\\Flagged") == 1
    rows = json.loads(must(demo, "--json", "restore", backup, "--account", demo.USER1))
    inbox = [r for r in rows if r["folder"] == "INBOX"][0]
    assert (inbox["brought back"], inbox["there already"]) == (3, 2)
    assert sorted(subjects(demo)[0]) == [f"inbox-{i}" for i in range(5)]
    assert all(r["brought back"] == 0 for r in json.loads(must(demo, "--json", "restore", backup, "--account", demo.USER1)))
    box.ok("SELECT INBOX")
    box.ok("UID STORE 1:* +FLAGS (\\Deleted)")
    box.ok("EXPUNGE")
    (blob,) = glob.glob(backup + "/blob/*/*")
    with open(blob, "r+b") as f:
        f.write(b"?")
    done = eilpost(demo, "--json", "restore", backup, "--account", demo.USER1)
    inbox = [r for r in json.loads(done.stdout) if r["folder"] == "INBOX"][0]
    assert (inbox["brought back"], inbox["left out"]) == (4, 1) and done.returncode == 65
    done = eilpost(demo, "restore", backup, "--account", "nobody@example.test")
    assert done.returncode == 67 and "no account" in done.stderr
    assert sorted(os.listdir(backup))[1:] == ["blob", "eilpost-backup", "log"]
    box.ok("LOGOUT")


def test_without_a_server(start_demo, tmp_path):
    demo = start_demo()
    backup = str(tmp_path / "backup")
    box = Imap(demo).login()
    box.append("INBOX", plain("kept"))
    box.ok("LOGOUT")
    demo.stop()
    owner = os.stat(data_of(demo) + "/index.db")
    must(demo, "backup", backup)
    assert os.stat(data_of(demo) + "/index.db").st_uid == owner.st_uid
    assert "is whole" in must(demo, "backup", backup, "--verify")
    assert len(must(demo, "backup", backup, "--list").splitlines()) >= 2
    done = eilpost(demo, "restore", backup)
    assert done.returncode != 0 and "not empty" in done.stderr
    other = restored(tmp_path, demo, backup)
    assert (other / "data" / "log").exists()
