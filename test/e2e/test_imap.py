"""IMAP from outside: every case speaks to the running program."""
import email
import imaplib
import os
import random
import re
import select
import signal
import smtplib
import subprocess
import time
import uuid

import pytest

from conftest import PROGRAM
from mailbox_client import Imap, fresh, literals, multipart, plain


def submit(demo, text, to=None):
    with smtplib.SMTP_SSL(demo.TLS_NAME, demo.SUBMISSIONS_PORT, context=demo.tls) as s:
        s.login(demo.USER1, demo.PASS1)
        s.sendmail(demo.USER1, [to or demo.USER1], text)


def uids(lines):
    return [int(m[1]) for m in (re.search(rb"UID (\d+)", x) for x in lines) if m]


def flags_of(line):
    return frozenset(re.search(rb"FLAGS \(([^)]*)\)", line)[1].replace(b"\\Recent", b"").split())


# ---- before the login ---------------------------------------------------------------------


def test_without_tls_there_is_no_login(demo):
    with Imap(demo, tls=False) as c:
        assert b"LOGINDISABLED" in c.greeting and b"STARTTLS" in c.greeting
        assert b"AUTH=" not in c.greeting
        assert c.cmd(f"LOGIN {demo.USER1} {demo.PASS1}")[0] == "NO"
        c.ok("STARTTLS")
        c.start_tls()
        (caps,) = c.ok("CAPABILITY")
        assert b"AUTH=PLAIN" in caps and b"STARTTLS" not in caps and b"LOGINDISABLED" not in caps
        c.login()


def test_what_comes_along_with_starttls_is_never_run(demo):
    with Imap(demo, tls=False) as c:
        c.send(b"a STARTTLS\r\nb LOGIN x y\r\n")
        assert c.at_end()


def test_a_wrong_password_is_told_and_the_third_ends_it(demo):
    with Imap(demo) as c:
        for i in range(3):
            status, text, _ = c.cmd(f"LOGIN {demo.USER1} wrong{i}")
            assert status == "NO" and "[AUTHENTICATIONFAILED]" in text
        assert c.at_end()


def test_an_unknown_user_hears_the_same(demo):
    with Imap(demo) as c:
        known = c.cmd(f"LOGIN {demo.USER1} wrong")
        assert c.cmd("LOGIN nobody@example.test wrong") == known


def test_memory_before_the_login_is_limited(demo):
    with Imap(demo) as c:
        assert c.cmd("LOGIN {4097}")[0] == "BAD"
        assert c.cmd("NOOP " + "(" * 8000)[0] == "BAD"
        c.send(b"x LOGIN " + b"y" * 50000 + b"\r\n")
        assert c.line().startswith(b"* BAD")
        c.send(b"x LOGIN {5000+}\r\n")
        assert c.at_end()


# ---- messages come back as they were ---------------------------------------------------------


def odd_messages():
    r = random.Random(7)
    yield plain("plain")
    yield plain("no end of line", "no end")
    yield plain("empty body", "")
    yield b"Subject: head only\r\n"
    yield b"\r\nno head\r\n"
    yield plain("dots", ".\r\n..\r\n.x\r\n")
    yield plain("bare", "bare \n line feed and \r return\r\n")
    yield plain("eight bit", "") + bytes(b for b in range(1, 256)) + b"\r\n"
    yield plain("long line", "x" * 100000 + "\r\n")
    yield multipart()
    yield plain("large", "") + b"".join(
        bytes(r.choice(b"abcdefgh ") for _ in range(70)) + b"\r\n" for _ in range(9000))


@pytest.mark.parametrize("number,message", enumerate(odd_messages()))
def test_what_is_appended_comes_back_byte_for_byte(demo, number, message):
    with Imap(demo).login() as c:
        box = fresh(c)
        uid = c.append(box, message)
        (line,) = [x for x in c.ok(f"UID FETCH {uid} (RFC822.SIZE BODY.PEEK[])") if b"BODY" in x]
        assert literals(line) == [message]
        assert int(re.search(rb"RFC822.SIZE (\d+)", line)[1]) == len(message)
        head, sep, body = message.partition(b"\r\n\r\n")
        if message.startswith(b"\r\n"):
            head, sep, body = b"", b"\r\n", message[2:]
        (line,) = c.ok(f"UID FETCH {uid} (BODY.PEEK[HEADER] BODY.PEEK[TEXT])")
        assert literals(line) == [head + sep, body]
        # in pieces of odd sizes
        pieces = b""
        step = max(1, len(message) // 7)
        for at in range(0, len(message), step):
            (line,) = c.ok(f"UID FETCH {uid} BODY.PEEK[]<{at}.{step}>")
            pieces += literals(line)[0]
        assert pieces == message
        c.ok(f'DELETE "{box}"')


def test_a_message_sent_by_smtp_is_read_with_its_prefix_in_front(demo):
    mark = uuid.uuid4().hex
    message = multipart().replace(b"Subject: ", b"X-Mark: " + mark.encode() + b"\r\nSubject: ")
    submit(demo, message)
    got = demo.wait_message(mark.encode())
    assert got.startswith(b"Return-Path: <" + demo.USER1.encode()) and got.endswith(message)
    with Imap(demo).login() as c:
        c.ok("SELECT INBOX")
        (found,) = c.ok(f"UID SEARCH HEADER X-Mark {mark}")
        uid = found.split()[-1].decode()
        (line,) = c.ok(f"UID FETCH {uid} (BODY.PEEK[HEADER] BODY.PEEK[TEXT])")
        assert b"".join(literals(line)) == got


def leaves(part, number=()):
    """(section number, part) of every leaf of a parsed message."""
    if part.get_content_maintype() == "multipart":
        for i, child in enumerate(part.get_payload(), 1):
            yield from leaves(child, number + (i,))
    elif part.get_content_type() == "message/rfc822":
        yield number, part
        inner = part.get_payload()[0]
        yield from leaves(inner, number + (() if inner.is_multipart() else (1,)))
    else:
        yield number or (1,), part


def test_every_part_is_where_another_parser_finds_it(demo):
    message = multipart()
    with Imap(demo).login() as c:
        uid = c.append(fresh(c), message)
        (structure,) = [x for x in c.ok(f"UID FETCH {uid} BODYSTRUCTURE") if b"STRUCTURE" in x]
        for number, part in leaves(email.message_from_bytes(message)):
            section = ".".join(map(str, number))
            (line,) = c.ok(f"UID FETCH {uid} BODY.PEEK[{section}]")
            (got,) = literals(line)
            assert got in message
            assert f'"{part.get_content_maintype()}" "{part.get_content_subtype()}"'.encode() in structure
            if part.get_content_type() != "message/rfc822":
                whole = part.get_payload()
                assert got.replace(b"\r\n", b"\n").rstrip() == whole.encode().replace(
                    b"\r\n", b"\n").rstrip()
                assert b" %d " % len(got) in structure


# ---- two sessions see each other ------------------------------------------------------------


def test_flags_and_expunges_of_another_session_are_told(demo):
    with Imap(demo).login() as a, Imap(demo).login() as b:
        box = fresh(a)
        for i in range(5):
            a.append(box, plain(f"n{i}"))
        b.ok(f'SELECT "{box}"')
        a.ok("NOOP")
        a.ok("STORE 2 +FLAGS (\\Flagged $Work)")
        told = b.ok("NOOP")
        assert any(re.match(rb"\* 2 FETCH \(FLAGS \(.*\\Flagged.*\$Work.*\)\)", x) for x in told), told
        assert a.ok("NOOP") == []  # one's own change is not told again
        a.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
        assert [x for x in a.ok("EXPUNGE") if b"EXPUNGE" in x] == [b"* 1 EXPUNGE"] * 2
        # b may still read what is in its view, and is told only where that is allowed
        (line,) = [x for x in b.ok("FETCH 1 BODY.PEEK[TEXT]") if b"BODY" in x]
        assert literals(line) == [b"hello\r\n"]
        told = b.ok("NOOP")
        assert [x for x in told if b"EXPUNGE" in x] == [b"* 1 EXPUNGE"] * 2
        assert uids(b.ok("FETCH 1:* UID")) == [3, 4, 5]
        b.append(box, plain("more"))
        assert b"* 4 EXISTS" in a.ok("NOOP")


def test_many_random_changes_leave_all_sessions_with_the_same_view(demo):
    r = random.Random(3)
    sessions = [Imap(demo).login() for _ in range(3)]
    box = fresh(sessions[0])
    views = [[] for _ in sessions]  # the flags by number, as each client understood them
    for s in sessions:
        s.ok(f'SELECT "{box}"')

    def understand(i, lines):
        view = views[i]
        for x in lines:
            m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)", x)
            if m and m[2] == b"EXPUNGE":
                del view[int(m[1]) - 1]
            elif m and m[2] == b"EXISTS":
                assert int(m[1]) >= len(view)
                view += [None] * (int(m[1]) - len(view))
            elif m and b"FLAGS" in x:
                view[int(m[1]) - 1] = flags_of(x)

    def step(i):
        s, any_number = sessions[i], r.randint(1, max(1, len(views[i])))
        what = r.randrange(7) if views[i] else 0
        if what == 0:
            s.append(box, plain("x"))
            return s.told
        if what < 4:
            flags = ["+FLAGS (\\Flagged k0)", "+FLAGS (k1)", "-FLAGS (\\Flagged k1)",
                     "+FLAGS (\\Deleted)", "FLAGS ()", "+FLAGS.SILENT (k0)"][r.randrange(6)]
            if "SILENT" in flags:
                views[i][any_number - 1] = None
            return s.ok(f"STORE {any_number} {flags}")
        return s.ok(["NOOP", "CHECK", "EXPUNGE"][what - 4])

    for _ in range(300):
        i = r.randrange(3)
        understand(i, step(i))
    truth = []
    for i, s in enumerate(sessions):
        understand(i, s.ok("NOOP"))
        lines = s.ok("UID FETCH 1:* (UID FLAGS)")
        truth.append([(uids([x])[0], flags_of(x)) for x in lines])
        for told, (uid, flags) in zip(views[i], truth[i], strict=True):
            assert told is None or told == flags, (i, uid)
        s.sock.close()
    assert truth[0] == truth[1] == truth[2]


def test_idle_tells_of_new_mail_at_once(demo):
    with Imap(demo).login() as c:
        c.ok("SELECT INBOX")
        tag = c.start("IDLE")
        assert c.line().startswith(b"+ ")
        mark = uuid.uuid4().hex
        submit(demo, plain(mark))
        line = c.line()
        while not re.match(rb"\* \d+ EXISTS", line):
            line = c.line()
        number = int(line.split()[1])
        c.send(b"DONE\r\n")
        assert c.finish(tag)[0] == "OK"
        (line,) = c.ok(f"FETCH {number} BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
        assert mark.encode() in line


def test_idle_tells_of_flags_and_expunges(demo):
    with Imap(demo).login() as a, Imap(demo).login() as b:
        box = fresh(a)
        a.append(box, plain("one"))
        b.ok(f'SELECT "{box}"')
        tag = b.start("IDLE")
        assert b.line().startswith(b"+ ")
        a.ok("STORE 1 +FLAGS (\\Answered)")
        assert b"\\Answered" in b.line()
        a.ok("STORE 1 +FLAGS (\\Deleted)")
        assert b"\\Deleted" in b.line()
        a.ok("EXPUNGE")
        assert b.line() == b"* 1 EXPUNGE"
        b.send(b"DONE\r\n")
        assert b.finish(tag)[0] == "OK"


# ---- mailboxes ------------------------------------------------------------------------------


def test_the_standard_mailboxes_say_what_they_are_for(demo):
    with Imap(demo).login() as c:
        found = {m[2]: m[1] for m in (
            re.match(rb'\* LIST \(([^)]*)\) "/" "([^"]*)"', x) for x in c.ok('LIST "" "%"'))}
        for name in (b"Drafts", b"Sent", b"Junk", b"Trash", b"Archive"):
            assert b"\\" + name in found[name]
        assert b"INBOX" in found


def test_mailboxes_in_any_alphabet(demo):
    box = demo.imap()
    name = "&ZeVnLIqe-" + uuid.uuid4().hex[:6]  # Japanese
    assert box.create(f'"{name}/Entw&APw-rfe"')[0] == "OK"
    assert box.list('""', f'"{name}/%"')[1] == [
        f'(\\HasNoChildren) "/" "{name}/Entw&APw-rfe"'.encode()]
    assert box.rename(f'"{name}"', f'"{name}x"')[0] == "OK"
    assert box.select(f'"{name}x/Entw&APw-rfe"')[0] == "OK"
    box.close()
    assert box.subscribe(f'"{name}x"')[0] == "OK"
    assert any(f'"{name}x"'.encode() in x for x in box.lsub()[1])
    assert box.unsubscribe(f'"{name}x"')[0] == "OK"
    assert box.delete(f'"{name}x/Entw&APw-rfe"')[0] == "OK"
    assert box.delete(f'"{name}x"')[0] == "OK"
    assert box.select(f'"{name}x"')[0] == "NO"
    box.logout()


def test_copy_and_move_name_the_new_uids(demo):
    with Imap(demo).login() as c:
        target = fresh(c, "Target")
        box = fresh(c)
        for i in range(4):
            c.append(box, plain(f"n{i}"), "\\Seen")
        c.ok("NOOP")
        status, text, _ = c.cmd(f'COPY 1:2 "{target}"')
        assert status == "OK" and re.search(r"\[COPYUID \d+ 1:2 1:2\]", text)
        told = c.ok(f'UID MOVE 4,2 "{target}"')
        assert re.search(rb"\[COPYUID \d+ 2,4 3:4\]", told[0])
        assert [x for x in told if b"EXPUNGE" in x] == [b"* 2 EXPUNGE", b"* 3 EXPUNGE"]
        assert c.cmd('COPY 1 "No such mailbox"')[1].startswith("[TRYCREATE]")
        c.ok(f'SELECT "{target}"')
        got = c.ok("FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert [re.search(rb"Subject: (\w+)", x)[1] for x in got] == [b"n0", b"n1", b"n1", b"n3"]
        assert all(b"\\Seen" in x for x in got)


def test_inbox_can_be_renamed_and_is_still_there(start_demo):
    demo = start_demo()
    with Imap(demo).login() as c:
        c.append("INBOX", plain("one"))
        c.ok("RENAME INBOX old-mail")
        assert b"(MESSAGES 0)" in c.ok("STATUS INBOX (MESSAGES)")[0]
        assert b"(MESSAGES 1)" in c.ok("STATUS old-mail (MESSAGES)")[0]


def test_status_counts(demo):
    with Imap(demo).login() as c:
        box = fresh(c)
        sizes = [len(plain(f"n{i}")) for i in range(3)]
        for i in range(3):
            c.append(box, plain(f"n{i}"), "\\Seen" if i else "")
        (line,) = c.ok(f'STATUS "{box}" (MESSAGES UNSEEN UIDNEXT SIZE)')
        assert line.endswith(b"(MESSAGES 3 UIDNEXT 4 UNSEEN 1 SIZE %d)" % sum(sizes))


def test_search_finds_what_python_finds(demo):
    with Imap(demo).login() as c:
        box = fresh(c)
        for i in range(30):
            c.append(box, plain(f"subject {i}", f"body number {i * 7}\r\n"),
                     "\\Seen" if i % 3 else "\\Flagged")
        c.ok("NOOP")

        def search(keys):
            (line,) = [x for x in c.ok("SEARCH " + keys) if x.startswith(b"* SEARCH")]
            return [int(x) for x in line.split()[2:]]

        assert search("UNSEEN FLAGGED") == [i + 1 for i in range(30) if i % 3 == 0]
        assert search('SUBJECT "subject 1"') == [2] + list(range(11, 21))
        assert search("BODY 49") == [8]
        assert search("OR BODY 49 NOT 1:29") == [8, 30]
        assert search("SENTON 2-Jan-2023 2:3") == [2, 3]
        assert search('TEXT "bob@EXAMPLE"') == list(range(1, 31))


# ---- a long life --------------------------------------------------------------------------


def test_a_session_survives_a_restart_of_the_store(start_demo):
    demo = start_demo()
    demo.expect(r"role\.ended .*store|role=(mx|submit|mailbox|courier|vault|dns|master)|^warn|^error")
    with Imap(demo).login() as c:
        box = fresh(c)
        c.append(box, plain("before"))
        (store,) = [pid for pid, name in demo.roles().items() if name == "store"]
        os.kill(store, signal.SIGKILL)
        assert b"hello" in b"".join(c.ok("FETCH 1 BODY.PEEK[TEXT]"))
        c.append(box, plain("after"))
        assert c.ok("NOOP") is not None
        assert len(c.ok("FETCH 1:2 UID")) == 2
        with Imap(demo).login() as other:  # and news still come
            tag = c.start("IDLE")
            assert c.line().startswith(b"+ ")
            other.append(box, plain("third"))
            line = c.line()
            assert b"* 3 EXISTS" == line
            c.send(b"DONE\r\n")
            assert c.finish(tag)[0] == "OK"


def test_an_idle_session_is_told_goodbye(start_demo):
    demo = start_demo("imap.idle=1s")
    with Imap(demo).login() as c:
        assert c.line().startswith(b"* BYE")
        assert c.at_end()


def test_the_end_of_the_server_is_told(start_demo):
    demo = start_demo()
    with Imap(demo).login() as c:
        c.start("IDLE")
        assert c.line().startswith(b"+ ")
        demo.process.send_signal(signal.SIGTERM)
        assert c.line().startswith(b"* BYE [UNAVAILABLE]")
        assert c.at_end()
        demo.stop()


def test_a_new_password_ends_the_sessions(start_demo):
    demo = start_demo()
    with Imap(demo).login() as c, Imap(demo).login() as idle:
        idle.start("IDLE")
        assert idle.line().startswith(b"+ ")
        subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", "account", "password",
                        demo.USER1],
                       input=b"a-new-one-4-ann\na-new-one-4-ann\n", check=True, timeout=20,
                       capture_output=True)
        start = time.monotonic()
        assert idle.line().startswith(b"* BYE")
        assert c.line().startswith(b"* BYE")
        assert time.monotonic() - start < 5
    with Imap(demo) as c:
        assert c.cmd(f"LOGIN {demo.USER1} {demo.PASS1}")[0] == "NO"
        c.ok(f"LOGIN {demo.USER1} a-new-one-4-ann")


def test_a_slow_reader_does_not_hold_up_others(demo):
    with Imap(demo).login() as slow, Imap(demo).login() as quick:
        box = fresh(slow)
        slow.append(box, plain("large", "x" * 70 + "\r\n") * 60000)
        slow.send(b"".join(b"s%d FETCH 1 BODY.PEEK[]\r\n" % i for i in range(5)))
        select.select([slow.sock], [], [], 5)
        for _ in range(20):
            quick.ok("NOOP")


def test_imaplib_is_content(demo):
    box = demo.imap()
    name = "py-" + uuid.uuid4().hex[:8]
    assert box.create(name)[0] == "OK"
    assert box.append(name, "(\\Seen)", imaplib.Time2Internaldate(1700000000), plain("x"))[0] == "OK"
    assert box.select(name) == ("OK", [b"1"])
    typ, data = box.fetch("1", "(FLAGS INTERNALDATE ENVELOPE)")
    assert typ == "OK" and b"14-Nov-2023 22:13:20 +0000" in data[0]
    assert box.search(None, "ALL") == ("OK", [b"1"])
    assert box.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert box.expunge() == ("OK", [b"1"])
    assert box.close()[0] == "OK"
    assert box.delete(name)[0] == "OK"
    assert box.namespace()[0] == "OK"
    box.logout()
