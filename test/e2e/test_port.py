"""Mail comes in from other programs' files and goes out into such files, and other programs agree on it."""
import json
import mailbox
import os
import pathlib
import pty
import re
import signal
import subprocess
import time
import uuid

import pytest

from conftest import PROGRAM
from mailbox_client import Imap, literals, multipart, plain
from test_clients import mutt, need

DATE = 1600000000
ODD = (b"From: x@y\r\nSubject: =?utf-8?q?odd?=\r\nStatus: mine\r\nX-Keywords: own\r\nContent-Length: 7\r\n\r\n"
       b"From here\r\n>From there\r\n\xff\x80 8 bits\r\n\r\n\r\n.\r\n..\r\nlast\r\n")


def run(demo, *args, stdin=""):
    return subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", "--json", *map(str, args)], input=stdin,
                          capture_output=True, text=True, timeout=120)


def command(demo, *args, code=0, stdin=""):
    done = run(demo, *args, stdin=stdin)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


def new_account(demo):
    login = f"p{uuid.uuid4().hex[:10]}@example.test"
    command(demo, "account", "add", login, stdin="long enough 7\n")
    return login


def imap(demo, login):
    box = Imap(demo, timeout=60)
    box.ok(f'LOGIN "{login}" "long enough 7"')
    return box


def folders(box):
    return sorted(re.search(rb'"/" "?(.*?)"?$', line)[1].decode() for line in box.ok('LIST "" "*"'))


def content(box, folder):
    """[(bytes, flags, date)] in order."""
    box.ok(f'EXAMINE "{folder}"')
    found = []
    for line in box.ok("UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])") if int(exists(box, folder)) else []:
        flags = set(re.search(rb"FLAGS \((.*?)\)", line)[1].split()) - {b"\\Recent"}
        found.append((literals(line)[-1], tuple(sorted(flags)), re.search(rb'INTERNALDATE "(.*?)"', line)[1]))
    return found


def exists(box, folder):
    (line,) = box.ok(f'STATUS "{folder}" (MESSAGES)')
    return re.search(rb"MESSAGES (\d+)", line)[1]


def account(demo, login):
    """Everything an account holds, by folder."""
    with imap(demo, login) as box:
        return {f: content(box, f) for f in folders(box)}


def crlf(data):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def rows(table):
    return {r["folder"]: (r.get("imported", r.get("exported")), r["already there"], r["left out"]) for r in table}


def write(path, data, when=DATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (when, when))


def tree(path):
    """{name: (bytes, time)} of all files below a folder; only those of single messages have a time."""
    return {str(f.relative_to(path)): (f.read_bytes(), int(f.stat().st_mtime) * (".eml" in f.name or ":2," in f.name))
            for f in sorted(path.rglob("*")) if f.is_file()}


def fill(demo, login, dots=".."):
    """An account with something of everything in it."""
    with imap(demo, login) as box:
        for name in ("Work", "Work/v1.0", "Gel&APY-scht", "R&-D", dots):
            box.ok(f'CREATE "{name}"')
        box.ok('SUBSCRIBE "Work/v1.0"')
        for i, (folder, message, flags) in enumerate([
                ("INBOX", plain("one"), "\\Seen"), ("INBOX", multipart(), "\\Answered \\Flagged $Label1 Work"),
                ("INBOX", ODD, "\\Draft \\Deleted"), ("Work/v1.0", plain("two"), ""),
                ("Gel&APY-scht", plain("three", "x" * 70 + "\r\n" + "y\r\n" * 150000), "\\Seen"),
                ("R&-D", plain("four"), "NonJunk"), (dots, plain("dots"), ""), ("Sent", plain("sent"), "\\Seen")]):
            tag = box.start(b'APPEND "%s" (%s) "%02d-Sep-2020 10:00:0%d +0000" {%d+}\r\n%s' % (
                folder.encode(), flags.encode(), i + 1, i, len(message), message))
            assert box.finish(tag)[0] == "OK"
    return account(demo, login)


# ---- Maildir ------------------------------------------------------------------------------------

def maildir(path):
    """What Dovecot leaves: marks in names, keywords and order in files of its own."""
    write(path / "cur/1600000003.M1P1.host,S=12,W=13:2,RSa", b"Subject: third\n\nx\n", DATE + 3)
    write(path / "cur/1600000001.M1P1.host,S=12,W=13:2,FTb", b"Subject: first\n\nx\n", DATE + 1)
    write(path / "new/1600000002.M1P1.host", b"Subject: second\n\n\xff\0\n", DATE + 2)
    write(path / "cur/1600000009.M1P1.host:2,D", b"Subject: fourth\r\n\r\nx\r\n", DATE + 9)
    write(path / "dovecot-keywords", b"0 Work\n1 $Label1\n")
    write(path / "dovecot-uidlist", b"3 V1600000000 N90 G0123\n7 :1600000009.M1P1.host\n"
          b"8 W13 :1600000003.M1P1.host,S=12,W=13\n9 :1600000001.M1P1.host,S=12,W=13:2,S\n")
    for name in (".Work", ".Work.2026", ".Gel&APY-scht", ".Sent Items", ".Trash"):
        write(path / name / "cur/1600000001.x:2,S", b"Subject: in " + name.encode() + b"\n\nx\n")
        (path / name / "maildirfolder").touch()
    write(path / "subscriptions", b"V\t2\n\nWork\nWork\t2026\nSent Items\n")
    return path


def subjects(box, folder):
    return [re.search(rb"Subject: (.*?)\r\n", m)[1].decode() for m, _, _ in content(box, folder)]


def test_a_maildir_of_dovecot_comes_in(demo, tmp_path):
    login = new_account(demo)
    where = maildir(tmp_path / "Maildir")
    done = rows(command(demo, "import", "--to", login, where))
    assert done == {"INBOX": (4, 0, 0), "Gelöscht": (1, 0, 0), "Sent": (1, 0, 0), "Trash": (1, 0, 0),
                    "Work": (1, 0, 0), "Work/2026": (1, 0, 0)}
    with imap(demo, login) as box:
        assert content(box, "INBOX") == [
            (b"Subject: fourth\r\n\r\nx\r\n", (b"\\Draft",), b"13-Sep-2020 12:26:49 +0000"),
            (b"Subject: third\r\n\r\nx\r\n", (b"Work", b"\\Answered", b"\\Seen"), b"13-Sep-2020 12:26:43 +0000"),
            (b"Subject: first\r\n\r\nx\r\n", (b"$Label1", b"\\Deleted", b"\\Flagged"), b"13-Sep-2020 12:26:41 +0000"),
            (b"Subject: second\r\n\r\n\xff\0\r\n", (), b"13-Sep-2020 12:26:42 +0000")]
        (flags,) = [x for x in box.ok("SELECT INBOX") if x.startswith(b"* FLAGS")]
        assert b"Work" in flags and b"$Label1" in flags
        assert subjects(box, "Gel&APY-scht") == ["in .Gel&APY-scht"]
        assert subjects(box, "Sent") == ["in .Sent Items"]
        subscribed = {re.search(rb'"/" "?(.*?)"?$', x)[1] for x in box.ok('LSUB "" "*"')}
        assert {b"Work", b"Work/2026"} <= subscribed and b"Gel&APY-scht" not in subscribed
    # again: nothing comes twice
    assert all(r[0] == 0 and r[1] for r in rows(command(demo, "import", "--to", login, where)).values())


def test_a_subscription_that_cannot_be_taken_is_named(demo, tmp_path):
    login = new_account(demo)
    where = maildir(tmp_path / "m")
    write(where / "subscriptions", b"V\t2\n\n" + b"x" * 1010 + b"\nWork\n")
    done = run(demo, "import", "--to", login, where)
    assert done.returncode == 65 and "xxx: the subscription: its name is too long; left out" in done.stderr, done.stderr
    with imap(demo, login) as box:
        assert [line for line in box.ok('LSUB "" "*"') if b"Work" in line]


def test_all_of_it_goes_below_a_folder_when_asked(demo, tmp_path):
    login = new_account(demo)
    done = rows(command(demo, "import", "--to", login, "--folder", "Old", "--format", "maildir",
                        maildir(tmp_path / "m")))
    assert set(done) == {"Old", "Old/Work", "Old/Work/2026", "Old/Gelöscht", "Old/Sent Items", "Old/Trash"}


def test_hostile_files_are_named_and_harm_nothing(demo, tmp_path):
    """T081: links, pipes and names of files lead nowhere."""
    login = new_account(demo)
    secret = tmp_path / "secret"
    secret.write_text("Subject: secret\n\n")
    where = maildir(tmp_path / "m")
    os.symlink(secret, where / "cur/1600000004.link:2,S")
    os.symlink(tmp_path, where / ".Link")
    os.symlink("/", where / "root")
    for name, part in (("NewLink", "new"), ("CurLink", "cur")):
        write(where / f".{name}" / ("cur" if part == "new" else "new") / "1600000001.x", b"Subject: beside a link\n\nx\n")
        os.symlink(where / "cur", where / f".{name}" / part)
    os.mkfifo(where / "cur/1600000005.pipe:2,S")
    os.mkfifo(where / "dovecot-keywords.pipe")
    (where / "cur/1600000006.dir:2,S").mkdir()
    write(where / "cur/1600000007.empty:2,S", b"")
    write(where / "cur/1600000008.big:2,S", b"Subject: big\n\n" + b"x" * 60 * 1000 * 1000)
    (where / "cur" / "1600000010.unreadable").symlink_to(where / "cur" / "none")
    write(where / ".a\x1b[31m\nb" / "cur/1600000001.x:2,S", b"Subject: control\n\nx\n")
    os.makedirs(os.fsencode(where) + b"/.\xff\xfe/cur")
    deep = where
    for _ in range(40):
        deep = deep / "d"
        (deep / "cur").mkdir(parents=True)
    done = run(demo, "import", "--to", login, where)
    assert done.returncode == 65
    assert "\x1b" not in done.stderr and "secret" not in done.stderr
    for name in ("link", "pipe", "dir", "empty", "big", "unreadable"):
        assert re.search(rf"\.{name}.*left out", done.stderr), (name, done.stderr)
    assert "nested too deeply" in done.stderr
    for name in (".Link", "root", "new", "cur"):
        assert re.search(rf"^{re.escape(name)}: .*left out", done.stderr, re.M), (name, done.stderr)
    got = rows(json.loads(done.stdout))
    assert got["INBOX"] == (4, 0, 6)
    assert got["a_[31m_b"] == (1, 0, 0)
    assert "Link" not in got and "root" not in got
    assert got["NewLink"] == got["CurLink"] == (1, 0, 0)
    with imap(demo, login) as box:
        assert "secret" not in subjects(box, "INBOX")


@pytest.mark.parametrize("name", ["dovecot-uidlist", "dovecot-keywords"])
def test_a_folder_whose_marks_cannot_be_read_waits_until_they_can(demo, tmp_path, name):
    """Else order or keywords would be lost, and another import would find everything there already."""
    login = new_account(demo)
    where = maildir(tmp_path / "m")
    was = (where / name).read_bytes()
    (where / name).unlink()
    os.symlink(where / "subscriptions", where / name)
    done = run(demo, "import", "--to", login, where)
    assert done.returncode == 65 and re.search(rf"^INBOX: {name}.*left out", done.stderr, re.M), done.stderr
    assert "INBOX" not in rows(json.loads(done.stdout)) and "Work" in rows(json.loads(done.stdout))
    (where / name).unlink()
    write(where / name, was)
    assert rows(command(demo, "import", "--to", login, where))["INBOX"] == (4, 0, 0)
    with imap(demo, login) as box:
        assert subjects(box, "INBOX") == ["fourth", "third", "first", "second"]
        assert [b"Work" in flags for _, flags, _ in content(box, "INBOX")] == [False, True, False, False]


@pytest.mark.parametrize("killed", ["command", "store"])
def test_an_import_that_was_killed_goes_on(start_demo, tmp_path, killed):
    demo = start_demo("store.segment=1MB")
    demo.expect(".") # a kill is loud
    login = new_account(demo)
    where = tmp_path / "m"
    for i in range(3000):
        write(where / f"cur/{DATE + i // 3}.{i:05}.x:2,S", b"Subject: %d\n\n" % (i // 2), DATE)
    write(where / f"cur/{DATE + 200}.big.x:2,S", b"Subject: big\n\n" + b"y" * 70 * 30000, DATE)
    for part in (0.1, 0.2, 0.3):
        with imap(demo, login) as box: # a login waits for the store
            p = subprocess.Popen([PROGRAM, "--config", demo.dir + "/eilpost.conf", "import", "--to", login,
                                  str(where)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            until = time.monotonic() + 60
            while int(exists(box, "INBOX")) < 3000 * part and p.poll() is None and time.monotonic() < until:
                pass
        pid = p.pid if killed == "command" else next(i for i, name in demo.roles().items() if name == "store")
        os.kill(pid, signal.SIGKILL)
        said = p.communicate(timeout=120)[1].decode()
        assert p.returncode == 0 or killed == "command" or "given again" in said, said
    with imap(demo, login) as box:
        command(demo, "import", "--to", login, where)
        # Messages that are the same twice in the source are there twice.
        got = subjects(box, "INBOX")
        assert sorted(got) == sorted([str(i // 2) for i in range(3000)] + ["big"])
    assert rows(command(demo, "import", "--to", login, where))["INBOX"] == (0, 3001, 0)


def test_one_import_at_a_time_goes_into_an_account(demo, tmp_path):
    login = new_account(demo)
    where = tmp_path / "m"
    for i in range(20000):
        write(where / f"cur/{DATE + i}.x:2,S", b"Subject: %d\n\n" % i)
    p = subprocess.Popen([PROGRAM, "--config", demo.dir + "/eilpost.conf", "import", "--to", login, str(where)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with imap(demo, login) as box:
        while int(exists(box, "INBOX")) == 0 and p.poll() is None:
            pass
        p.send_signal(signal.SIGSTOP)
        done = run(demo, "import", "--to", login, where)
        p.send_signal(signal.SIGCONT)
        assert done.returncode == 73 and "another import" in done.stderr, done.stderr
        assert p.wait(120) == 0
        assert int(exists(box, "INBOX")) == 20000


def test_a_full_account_stops_the_import_and_more_room_lets_it_go_on(demo, tmp_path):
    login = new_account(demo)
    where = maildir(tmp_path / "m")
    command(demo, "account", "quota", login, "none", "3")
    done = run(demo, "import", "--to", login, where)
    assert done.returncode == 75 and "full" in done.stderr, done.stderr
    command(demo, "account", "quota", login, "none", "none")
    command(demo, "import", "--to", login, where)
    with imap(demo, login) as box:
        assert len(subjects(box, "INBOX")) == 4


def test_a_terminal_shows_a_bar_and_a_file_gets_lines(demo, tmp_path):
    login = new_account(demo)
    where = tmp_path / "m"
    for i in range(4000):
        write(where / f"cur/{DATE + i}.x:2,S", b"Subject: %d\n\n" % i)
    assert "INBOX: 4000 messages\n" in run(demo, "import", "--to", login, where).stderr
    ours, theirs = pty.openpty()
    p = subprocess.Popen([PROGRAM, "--config", demo.dir + "/eilpost.conf", "export", login, "--format", "maildir",
                          str(tmp_path / "out")], stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while more := os.read(ours, 65536):
            said += more
    except OSError:
        pass # the end of a terminal
    assert p.wait() == 0
    os.close(ours)
    assert re.search(rb"\r\x1b\[K\[[#.]{24}\] +\d+%  INBOX  \d+ messages", said), said[-500:]


def test_who_is_not_there_gets_nothing(demo, tmp_path):
    assert run(demo, "import", "--to", "nobody@example.test", maildir(tmp_path / "m")).returncode == 67
    assert run(demo, "import", "--to", demo.USER1, tmp_path / "none").returncode != 0
    (tmp_path / "empty").mkdir()
    done = run(demo, "import", "--to", demo.USER1, tmp_path / "empty")
    assert done.returncode == 65 and "no mail" in done.stderr
    assert run(demo, "export", "nobody@example.test", "--format", "eml", tmp_path / "x").returncode == 67
    for wrong in (["import", "--to", "x@y"], ["import", "x"], ["export", "x@y", "z"],
                  ["import", "--to", "x@y", "--format", "pst", "z"], ["export", "x@y", "--format", "pst", "z"]):
        assert run(demo, *wrong).returncode == 64


# ---- mbox ---------------------------------------------------------------------------------------

def test_mboxes_of_python_come_in(demo, tmp_path):
    login = new_account(demo)
    sent = []
    box = mailbox.mbox(tmp_path / "file")
    for i, flags in enumerate(["RO", "", "ROAF", "D"]):
        m = mailbox.mboxMessage(f"Subject: {i}\n\nFrom hell {i}\n\n\nend\n".encode())
        m.set_flags(flags)
        m.set_from("x@y", time.gmtime(DATE + i))
        box.add(m)
        sent.append(f"Subject: {i}\r\n\r\nFrom hell {i}\r\n\r\n\r\nend\r\n".encode())
    box.close()
    assert rows(command(demo, "import", "--to", login, tmp_path / "file")) == {"INBOX": (4, 0, 0)}
    with imap(demo, login) as c:
        got = content(c, "INBOX")
    assert [m for m, _, _ in got] == sent
    assert [f for _, f, _ in got] == [(b"\\Seen",), (), (b"\\Answered", b"\\Flagged", b"\\Seen"), (b"\\Deleted",)]
    assert got[3][2] == b"13-Sep-2020 12:26:43 +0000"


def test_a_profile_of_thunderbird_comes_in(demo, tmp_path):
    login = new_account(demo)

    def message(subject, status="0001"):
        return (f"From - Sun Sep 13 12:26:40 2020\r\nX-Mozilla-Status: {status}\r\nX-Mozilla-Status2: 00000000\r\n"
                f"X-Mozilla-Keys: $label1          \r\nSubject: {subject}\r\n\r\nx\r\n\r\n").encode()
    where = tmp_path / "Local Folders"
    write(where / "Inbox", message("in", "0006") + message("gone", "0009"))
    write(where / "Inbox.msf", b"// <!-- <mdb:mork")
    write(where / "Work", message("work"))
    write(where / "Work.sbd/2026", message("deep"))
    write(where / "filterlog.html", b"<html>")
    write(where / "Trash", b"")
    assert rows(command(demo, "import", "--to", login, where)) == {
        "INBOX": (1, 0, 0), "Trash": (0, 0, 0), "Work": (1, 0, 0), "Work/2026": (1, 0, 0)}
    with imap(demo, login) as box:
        assert content(box, "INBOX") == [(b"Subject: in\r\n\r\nx\r\n", (b"$label1", b"\\Answered", b"\\Flagged"),
                                          b"13-Sep-2020 12:26:40 +0000")]
        assert subjects(box, "Work/2026") == ["deep"]


def test_kinds_of_mbox_can_be_told(demo, tmp_path):
    data = b"From x Sun Sep 13 12:26:40 2020\nSubject: q\n\n>From a\n>>From b\n\n"
    want = {"mboxrd": b"From a\r\n>From b\r\n", "mboxo": b"From a\r\n>>From b\r\n", "mboxcl2": b">From a\r\n>>From b\r\n"}
    write(tmp_path / "f", data)
    for kind, body in want.items():
        login = new_account(demo)
        command(demo, "import", "--to", login, "--format", kind, tmp_path / "f")
        with imap(demo, login) as box:
            assert content(box, "INBOX")[0][0] == b"Subject: q\r\n\r\n" + body


@need("mutt")
def test_what_mutt_saves_comes_in_and_what_goes_out_mutt_reads(demo, tmp_path):
    login = new_account(demo)
    with Imap(demo).login(2) as c:
        name = f"mutt-{uuid.uuid4().hex[:8]}"
        c.ok(f'CREATE "{name}"')
        sent = [plain(f"m {i}", f"text {i}\r\nFrom here\r\n>From there\r\n\r\n") for i in range(4)] + [multipart()]
        for m in sent:
            c.append(name, m, "\\Seen")
    home = tmp_path / "home.mbox"
    mutt(demo, tmp_path, name, f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{home}<enter><quit>")
    command(demo, "import", "--to", login, home)
    with imap(demo, login) as box:
        assert [m for m, _, _ in content(box, "INBOX")] == sent
    out, back = tmp_path / "out.mbox", tmp_path / "back"
    command(demo, "export", login, "--folder", "INBOX", "--format", "mbox", out)
    mutt(demo, tmp_path, None, f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{back}<enter><quit>",
         path=out)
    assert len(mailbox.Maildir(back, create=False) if back.is_dir() else mailbox.mbox(back)) == 5


# ---- there and back -----------------------------------------------------------------------------

@pytest.mark.parametrize("form", ["maildir", "mbox", "eml"])
def test_what_goes_out_comes_back_byte_for_byte(demo, tmp_path, form):
    login, other, third = (new_account(demo) for _ in range(3))
    was = fill(demo, login)
    where, again = tmp_path / "a", tmp_path / "b"
    command(demo, "export", login, "--format", form, where)
    command(demo, "import", "--to", other, where)
    is_now = account(demo, other)
    if form == "eml": # has no place for marks
        was = {f: [(m, (), d) for m, _, d in v] for f, v in was.items()}
    assert {f: v for f, v in is_now.items() if v} == {f: v for f, v in was.items() if v}
    if form != "eml":
        assert set(is_now) == set(was)
    command(demo, "export", other, "--format", form, again)
    command(demo, "import", "--to", third, again)
    assert account(demo, third) == is_now
    # The account it came from has it all already.
    assert all(r[0] == 0 for r in rows(command(demo, "import", "--to", login, where)).values())


def test_names_of_folders_lead_nowhere(demo, tmp_path):
    """T081: a folder named ".." is a folder in the export."""
    login = new_account(demo)
    fill(demo, login)
    for form in ("maildir", "mbox", "eml"):
        inside = tmp_path / form / "in" / "side"
        inside.parent.mkdir(parents=True)
        command(demo, "export", login, "--format", form, inside)
        assert [p.name for p in inside.parent.iterdir()] == ["side"]
        assert not list((tmp_path / form).glob("*.eml"))
        # Links that lie in wait are not followed.
        trap = tmp_path / form / "trap"
        trap.mkdir()
        (tmp_path / form / "target").mkdir()
        for name in ("INBOX", ".Sent", "Sent", "cur"):
            os.symlink(tmp_path / form / "target", trap / name)
        done = run(demo, "export", login, "--format", form, trap)
        assert done.returncode == 65, done.stderr
        assert not list((tmp_path / form / "target").iterdir())


def test_other_programs_read_what_goes_out(demo, tmp_path):
    login = new_account(demo)
    was = fill(demo, login)
    command(demo, "export", login, "--format", "maildir", tmp_path / "m")
    command(demo, "export", login, "--format", "mbox", tmp_path / "b")
    box = mailbox.Maildir(tmp_path / "m", create=False)
    assert sorted(box.list_folders()) == sorted(
        ["Work", "Work.v1&AC4-0", "Gel&APY-scht", "R&-D", "&AC4-&AC4-", "Sent", "Drafts", "Junk", "Trash", "Archive"])
    got = sorted(box, key=lambda m: m.get_date())
    assert [crlf(m.as_bytes()) for m in got[:2]] == [m for m, _, _ in was["INBOX"][:2]]
    assert [m.get_flags() for m in got] == ["S", "FRab", "DT"]
    assert (tmp_path / "m/dovecot-keywords").read_text().split("\n")[:2] in (
        ["0 $Label1", "1 Work"], ["0 Work", "1 $Label1"])
    one = mailbox.mbox(tmp_path / "b" / "INBOX", create=False)
    assert [m["Subject"] for m in one] == ["one", mailbox.Message(was["INBOX"][1][0])["Subject"], "=?utf-8?q?odd?="]
    assert [m.get_flags() for m in one][:2] == ["RO", "OAF"]
    assert len(mailbox.mbox(tmp_path / "b" / "Work.sbd" / "v1.0", create=False)) == 1


def test_an_export_that_was_killed_goes_on(demo, tmp_path):
    login = new_account(demo)
    where = tmp_path / "in"
    for i in range(1500):
        write(where / f"cur/{DATE + i}.x:2,S", b"Subject: %d\n\nFrom %d\n" % (i, i) + b"z\n" * 2000, DATE + i)
    command(demo, "import", "--to", login, where)
    for form in ("maildir", "mbox", "eml"):
        whole, cut = tmp_path / f"{form}-whole", tmp_path / f"{form}-cut"
        command(demo, "export", login, "--format", form, whole)
        for count in (100, 500, 900):
            p = subprocess.Popen([PROGRAM, "--config", demo.dir + "/eilpost.conf", "export", login, "--format", form,
                                  str(cut)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 30
            while p.poll() is None and time.monotonic() < until:
                have = sum(f.stat().st_size for f in list(cut.rglob("INBOX")) if f.is_file()) // 4100 if form == "mbox" \
                    else sum(1 for _ in (cut / ("cur" if form == "maildir" else "INBOX")).glob("*")) \
                    if (cut / ("cur" if form == "maildir" else "INBOX")).is_dir() else 0
                if have >= count:
                    break
            p.send_signal(signal.SIGKILL)
            p.wait()
        if form == "mbox" and (cut / "INBOX").exists(): # torn in the middle of a message
            os.truncate(cut / "INBOX", (cut / "INBOX").stat().st_size - 17)
        command(demo, "export", login, "--format", form, cut)
        assert tree(cut) == tree(whole)
        assert rows(command(demo, "export", login, "--format", form, cut))["INBOX"][0] == (1 if form == "mbox" else 0)


@pytest.mark.embedded
@pytest.mark.parametrize("form", ["maildir", "mbox", "eml"])
def test_one_message_that_cannot_be_read_keeps_no_other_from_coming_out(demo, tmp_path, form):
    def blobs():
        return set(pathlib.Path(demo.dir).rglob("blob/??/*"))

    login = new_account(demo)
    before = blobs()
    with imap(demo, login) as box:
        for words in ("one", "y\r\n" * 150000, "three"):
            message = plain("kept", words)
            tag = box.start(b"APPEND INBOX {%d+}\r\n%s" % (len(message), message))
            assert box.finish(tag)[0] == "OK"
    (blob,) = blobs() - before
    aside = blob.rename(tmp_path / "aside")
    done = run(demo, "export", login, "--format", form, tmp_path / "out")
    assert done.returncode == 65, done.stderr
    assert "INBOX, message 2: it cannot be read" in done.stderr
    assert sum(data.count(b"Subject: kept") for data, _ in tree(tmp_path / "out").values()) == 2
    aside.rename(blob)
    if form == "mbox": # which is added to at its end only
        return
    assert rows(command(demo, "export", login, "--format", form, tmp_path / "out"))["INBOX"] == (1, 2, 0)


@pytest.mark.parametrize("later", [False, True])
def test_what_was_exported_stays_when_it_is_deleted(demo, tmp_path, later):
    login = new_account(demo)
    with imap(demo, login) as box:
        for i in range(3):
            box.append("INBOX", plain(f"kept {i}"))
        for form in ("maildir", "mbox", "eml"):
            command(demo, "export", login, "--folder", "INBOX", "--format", form, tmp_path / form)
        box.ok("SELECT INBOX")
        box.ok("UID STORE 3 +FLAGS (\\Deleted)")
        box.ok("EXPUNGE")
        if later:
            box.append("INBOX", plain("kept 3"))
    for form in ("maildir", "mbox", "eml"):
        command(demo, "export", login, "--folder", "INBOX", "--format", form, tmp_path / form)
        other = new_account(demo)
        command(demo, "import", "--to", other, tmp_path / form)
        with imap(demo, other) as box:
            assert sorted(subjects(box, "INBOX")) == [f"kept {i}" for i in range(3 + later)], form


def test_a_file_that_is_not_ours_is_left_alone(demo, tmp_path):
    login = new_account(demo)
    fill(demo, login)
    write(tmp_path / "mine", b"From x Sun Sep 13 12:26:40 2020\nSubject: mine\n\nx\n\n")
    before = (tmp_path / "mine").read_bytes()
    done = run(demo, "export", login, "--folder", "INBOX", "--format", "mbox", tmp_path / "mine")
    assert done.returncode == 65 and "not exported" in done.stderr
    assert (tmp_path / "mine").read_bytes() == before


@need("mbsync")
def test_what_mbsync_wrote_comes_in_and_what_goes_out_mbsync_takes(demo, tmp_path):
    login, other, third = (new_account(demo) for _ in range(3))
    was = fill(demo, login, "dots")
    sync(demo, tmp_path / "1", login)
    command(demo, "import", "--to", other, tmp_path / "1/mail")
    assert as_mbsync_leaves_it(account(demo, other)) == as_mbsync_leaves_it(was)
    (tmp_path / "2/mail").mkdir(parents=True)
    command(demo, "export", login, "--folder", "INBOX", "--format", "maildir", tmp_path / "2/mail/INBOX")
    sync(demo, tmp_path / "2", third)
    with imap(demo, third) as box:
        assert as_mbsync_leaves_it({"INBOX": content(box, "INBOX")})["INBOX"] == as_mbsync_leaves_it(was)["INBOX"]


def as_mbsync_leaves_it(all_folders):
    """It adds a field to messages, and keeps neither keywords nor order."""
    return {f: sorted((re.sub(rb"X-TUID: .*?\r\n", b"", m), tuple(x for x in flags if x.startswith(b"\\")))
                      for m, flags, _ in v) for f, v in all_folders.items() if v}


def sync(demo, home, login):
    (home / "mail").mkdir(parents=True, exist_ok=True)
    (home / "rc").write_text(f"""
IMAPAccount demo
Host {demo.TLS_NAME}
Port {demo.IMAPS_PORT}
User {login}
Pass "long enough 7"
SSLType IMAPS
CertificateFile {demo.CAFILE}
SystemCertificates no

IMAPStore far
Account demo

MaildirStore near
SubFolders Verbatim
Path {home}/mail/
Inbox {home}/mail/INBOX

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Sync All
CopyArrivalDate yes
SyncState *
""")
    done = subprocess.run(["mbsync", "-c", str(home / "rc"), "-a"], env={**os.environ, "HOME": str(home)},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
