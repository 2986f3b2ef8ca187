"""What was deleted comes back: messages, folders, accounts; once, and seen by IMAP at once."""
import json
import subprocess
import uuid

import pytest

from conftest import PROGRAM
from mailbox_client import Imap, fresh, plain


def run(demo, *args, stdin=""):
    return subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", "--json", *args], input=stdin,
                          capture_output=True, text=True, timeout=60)


def command(demo, *args, stdin=""):
    done = run(demo, *args, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def new_account(demo):
    login = f"u{uuid.uuid4().hex[:10]}@example.test"
    command(demo, "account", "add", login, stdin="long enough 7\n")
    return login


def restore(demo, login, *args):
    return command(demo, "account", "restore", login, *args)


def imap(demo, login):
    box = Imap(demo)
    box.ok(f'LOGIN "{login}" "long enough 7"')
    return box


def subjects(box):
    said = box.ok("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    return [line.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for line in said if b"Subject: " in line]


def delete(box, uids):
    box.ok(f"UID STORE {uids} +FLAGS (\\Deleted)")
    box.ok("EXPUNGE")


def test_expunged_mail_is_seen_by_idle_at_once(demo):
    login = new_account(demo)
    with imap(demo, login) as box:
        for subject in ("one", "two", "three"):
            box.append("INBOX", plain(subject), "\\Seen $Label1")
        box.ok("SELECT INBOX")
        delete(box, "1:2")
        assert subjects(box) == ["three"]
        tag = box.start("IDLE")
        assert box.line().startswith(b"+")
        assert restore(demo, login) == [{"folder": "INBOX", "messages": 2, "size": 2 * len(plain("one"))}]
        said = []
        while not any(b"3 EXISTS" in s for s in said):
            said.append(box.line())
        box.send(b"DONE\r\n")
        box.finish(tag)
        assert subjects(box) == ["three", "one", "two"]
        flags = box.ok("UID FETCH 4:5 (FLAGS)")
        assert len(flags) == 2
        assert all(b"\\Seen" in f and b"$Label1" in f and b"\\Deleted" not in f for f in flags)
    assert restore(demo, login) == []


def test_what_is_wanted_can_be_chosen(demo):
    login = new_account(demo)
    with imap(demo, login) as box:
        box.ok("CREATE Work")
        for subject in ("Invoice 1", "Party", "=?utf-8?q?Rechnung_f=C3=BCr?= Mai"):
            box.append("INBOX", plain(subject))
        box.append("Work", plain("invoice 2"))
        for folder in ("INBOX", "Work"):
            box.ok(f"SELECT {folder}")
            delete(box, "1:*")
        assert restore(demo, login, "--until", "1h") == []
        listed = restore(demo, login, "--dry-run", "--subject", "INVOICE")
        assert [(r["folder"], r["subject"]) for r in listed] == [("INBOX", "Invoice 1"), ("Work", "invoice 2")]
        assert restore(demo, login, "--folder", "inbox", "--subject", "für") == [
            {"folder": "INBOX", "messages": 1, "size": len(plain("=?utf-8?q?Rechnung_f=C3=BCr?= Mai"))}]
        assert restore(demo, login, "--from", "nobody") == []
        assert [r["folder"] for r in restore(demo, login, "--since", "1h")] == ["INBOX", "Work"]
        box.ok("SELECT INBOX")
        assert subjects(box)[1:] == ["Invoice 1", "Party"]


def test_what_was_moved_does_not_come_back(demo):
    login = new_account(demo)
    with imap(demo, login) as box:
        box.append("INBOX", plain("moved"))
        box.ok("SELECT INBOX")
        box.ok("UID MOVE 1 Archive")
    assert restore(demo, login) == []


def test_a_deleted_folder_comes_back(demo):
    login = new_account(demo)
    with imap(demo, login) as box:
        box.ok('CREATE "Work/2026"')
        for subject in ("a", "b"):
            box.append("Work/2026", plain(subject))
        box.ok('DELETE "Work/2026"')
        assert restore(demo, login, "--folder", "Work/2026")[0]["messages"] == 2
        box.ok('SELECT "Work/2026"')
        assert subjects(box) == ["a", "b"]
    assert restore(demo, login) == []


def test_a_full_account_takes_back_no_more_than_fits(demo):
    login = new_account(demo)
    with imap(demo, login) as box:
        for subject in ("a", "b"):
            box.append("INBOX", plain(subject))
        box.ok("SELECT INBOX")
        delete(box, "1:*")
    command(demo, "account", "quota", login, "none", "1")
    done = run(demo, "account", "restore", login)
    assert done.returncode == 75 and "full" in done.stderr, done.stderr
    command(demo, "account", "quota", login, "none", "2")
    assert restore(demo, login)[0]["messages"] == 2


def test_a_removed_account_comes_back_with_its_mail(demo):
    login = new_account(demo)
    with imap(demo, login) as box:
        box.append("INBOX", plain("kept"))
    command(demo, "account", "remove", login)
    assert run(demo, "account", "restore", login, "--dry-run").returncode == 67
    assert restore(demo, login.upper())[0]["messages"] == 1
    with Imap(demo) as box:
        status, _, _ = box.cmd(f'LOGIN "{login}" "long enough 7"')
        assert status == "NO"
    command(demo, "account", "password", login, stdin="long enough 7\n")
    with imap(demo, login) as box:
        box.ok("SELECT INBOX")
        assert subjects(box) == ["kept"]


@pytest.mark.parametrize("args", [["--since", "yesterday"], ["--colour", "red"], ["--since"]])
def test_a_wrong_option_says_how_it_is_written(demo, args):
    done = run(demo, "account", "restore", demo.USER1, *args)
    assert done.returncode == 64 and "usage" in done.stderr
