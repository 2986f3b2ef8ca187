"""POP3 from outside: every case speaks to the running program."""
import poplib
import re
import smtplib
import socket
import uuid

import pytest

from conftest import SANITIZED
from mailbox_client import Imap, plain


def pop(demo, who=2, login=True):
    p = poplib.POP3_SSL(demo.TLS_NAME, demo.POP3S_PORT, context=demo.tls, timeout=15)
    if login:
        p.user(getattr(demo, f"USER{who}"))
        p.pass_(getattr(demo, f"PASS{who}"))
    return p


@pytest.fixture
def inbox(demo):
    """USER2's inbox, empty, and a function that puts a message into it."""
    demo.empty(2)
    c = Imap(demo).login(2)

    def put(message):
        c.append("INBOX", message)

    yield put
    c.sock.close()


def retr(p, number):
    """The message as the octets on the wire say, dots unstuffed."""
    p._putcmd(f"RETR {number}")
    assert p._getresp().startswith(b"+OK")
    got = []
    while (line := p.file.readline()) != b".\r\n":
        assert line
        got.append(line[1:] if line.startswith(b".") else line)
    return b"".join(got)


def test_messages_come_back_byte_for_byte(demo, inbox):
    sent = [plain("one"), plain("dots", ".\r\n..\r\n.x\r\n"), plain("empty", ""),
            plain("long", "x" * 100000 + "\r\n"), plain("large", ("y" * 76 + "\r\n") * 40000)]
    for m in sent:
        inbox(m)
    p = pop(demo)
    assert p.stat() == (len(sent), sum(map(len, sent)))
    for i, m in enumerate(sent, 1):
        assert retr(p, i) == m
        assert p.top(i, 0)[1][0] == b"From: ann@example.test"
    p.quit()


def test_a_message_sent_by_smtp_is_read(demo, inbox):
    mark = uuid.uuid4().hex
    with smtplib.SMTP_SSL(demo.TLS_NAME, demo.SUBMISSIONS_PORT, context=demo.tls) as s:
        s.login(demo.USER1, demo.PASS1)
        sent = plain(mark)
        s.sendmail(demo.USER1, [demo.USER2], sent)
    p = pop(demo)
    assert retr(p, 1).endswith(sent)
    p.quit()


def test_only_quit_deletes(demo, inbox):
    inbox(plain("one"))
    inbox(plain("two"))
    p = pop(demo)
    p.dele(1)
    p.close()  # hangs up
    p = pop(demo)
    assert p.stat()[0] == 2
    p.dele(1)
    p.quit()
    p = pop(demo)
    assert p.stat()[0] == 1 and b"Subject: two" in retr(p, 1)
    p.quit()


def test_one_session_at_a_time(demo, inbox):
    first = pop(demo)
    second = pop(demo, login=False)
    second.user(demo.USER2)
    with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"):
        second.pass_(demo.PASS2)
    first.quit()
    second.user(demo.USER2)
    second.pass_(demo.PASS2)
    second.quit()


def test_unique_ids_stay(demo, inbox):
    for i in range(3):
        inbox(plain(f"n{i}"))
    p = pop(demo)
    before = dict(x.split() for x in p.uidl()[1])
    p.dele(2)
    p.quit()
    p = pop(demo)
    after = dict(x.split() for x in p.uidl()[1])
    p.quit()
    assert after == {b"1": before[b"1"], b"2": before[b"3"]}


def test_stls_first(demo):
    p = poplib.POP3(demo.HOST, demo.POP3_PORT, timeout=15)
    assert "STLS" in p.capa() and "USER" not in p.capa()
    with pytest.raises(poplib.error_proto, match="STLS first"):
        p.user(demo.USER2)
    p = poplib.POP3(demo.TLS_NAME, demo.POP3_PORT, timeout=15)
    p.stls(context=demo.tls)
    capa = p.capa()
    assert "STLS" not in capa and "PLAIN" in capa["SASL"]
    p.user(demo.USER2)
    p.pass_(demo.PASS2)
    p.quit()


def test_what_comes_along_with_stls_is_never_run(demo):
    with socket.create_connection((demo.HOST, demo.POP3_PORT), 15) as s:
        s.sendall(b"STLS\r\nUSER x\r\n")
        said = b""
        while more := s.recv(4096):
            said += more
    assert said.count(b"\r\n") == 1


def test_wrong_passwords(demo):
    p = pop(demo, login=False)
    for _ in range(3):
        p.user(demo.USER1)
        with pytest.raises(poplib.error_proto, match=r"\[AUTH\]"):
            p.pass_("wrong")
    with pytest.raises((poplib.error_proto, OSError)):
        p.noop()


def test_what_imap_expunges_meanwhile_is_refused_or_still_read(demo, inbox):
    inbox(plain("one"))
    p = pop(demo)
    demo.empty(2)
    try:
        assert b"Subject: one" in retr(p, 1)
    except AssertionError:
        pass
    p.dele(1)
    p.quit()


def peak(demo):
    """Peak resident memory of the mailbox front in KiB."""
    (pid,) = [p for p, name in demo.roles().items() if name == "mailbox"]
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep freed memory")
def test_a_large_message_takes_no_memory(start_demo):
    demo = start_demo()
    message = plain("large", ("z" * 76 + "\r\n") * 400000)  # 31 MB
    with Imap(demo).login(2) as c:
        c.append("INBOX", plain("small"))
        small = peak(demo)
        c.append("INBOX", message)
        p = pop(demo)
        assert retr(p, 2) == message
        p.quit()
        (line,) = [x for x in c.ok("UID FETCH 2 BODY.PEEK[]") if b"BODY" in x] if c.ok(
            "SELECT INBOX") else [b""]
        assert len(line) > len(message)
    assert peak(demo) - small < 8192
