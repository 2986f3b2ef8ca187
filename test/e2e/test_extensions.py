"""The extensions of SMTP, from outside: chunks, and what a message may ask for."""
import email
import hashlib
import os
import smtplib
import subprocess
import time
import uuid

import pytest

from conftest import SANITIZED
from raw import Raw, submit

STRANGER = "ann@sender.example"
LARGE = 50 << 20


def token():
    return uuid.uuid4().hex


def text(mark, sender=STRANGER, body=b""):
    return (f"From: <{sender}>\r\nTo: <you@example.test>\r\nSubject: {mark}\r\n"
            f"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\n\r\nhello {mark}\r\n").encode() + body


def chunks(data, size):
    """BDAT commands with their octets."""
    out = b""
    for at in range(0, len(data), size):
        piece = data[at:at + size]
        last = b" LAST" if at + size >= len(data) else b""
        out += b"BDAT %d%s\r\n" % (len(piece), last) + piece
    return out


def peak(demo, role):
    """The most memory that a process of this role has had, in bytes."""
    most = 0
    for pid, name in demo.roles().items():
        if role in name:
            with open(f"/proc/{pid}/status") as f:
                most = max(most, *(int(x.split()[1]) << 10 for x in f if x.startswith("VmHWM")))
    return most


# ---- chunks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 100, 100000])
def test_a_message_in_chunks_arrives_as_it_was(demo, size):
    mark = token()
    body = text(mark, body=b".\r\n..\r\n" + bytes(range(128, 256)) + b"\r\n")
    with Raw(demo) as s:
        s.hello()
        s.send(b"MAIL FROM:<%s> BODY=8BITMIME\r\nRCPT TO:<%s>\r\n" %
               (STRANGER.encode(), demo.USER1.encode()) + chunks(body, size) + b"QUIT\r\n")
        codes = []
        while (code := s.code()) is not None:
            codes.append(code)
        assert set(codes) == {250, 221}
        assert len(codes) == 2 + (len(body) + size - 1) // size + 1
    assert demo.wait_message(mark.encode()).endswith(body)
    demo.empty()


def test_a_binary_message_keeps_every_octet(demo):
    mark = token()
    head = (f"From: <{STRANGER}>\r\nSubject: {mark}\r\nMIME-Version: 1.0\r\n"
            "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n").encode()
    body = head + bytes(range(1, 256)) * 3 + b"\n.\n\r.\r\n.\r\nQUIT\n"
    with Raw(demo) as s:
        s.hello()
        s.ok(f"MAIL FROM:<{STRANGER}> BODY=BINARYMIME")
        s.ok(f"RCPT TO:<{demo.USER1}>")
        assert s.cmd("DATA")[0] == 503
        s.send(chunks(body, 333))
        assert all(s.code() == 250 for _ in range((len(body) + 332) // 333))
    assert demo.wait_message(mark.encode()).endswith(body)
    demo.empty()


def test_text_in_chunks_smuggles_nothing(demo):
    mark = token()
    with Raw(demo) as s:
        s.hello()
        for bad in (b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\0"):
            s.envelope(STRANGER, demo.USER1)
            s.send(chunks(text(mark) + b"x" + bad + b"MAIL FROM:<evil@sender.example>\r\n", 50))
            codes = [s.code() for _ in range((len(text(mark)) + 1 + len(bad) + 33 + 49) // 50)]
            assert codes[-1] == 554, (bad, codes)
        assert s.cmd("NOOP")[0] == 250
    assert not any(mark.encode() in m for m in demo.messages())


def test_octets_of_a_refused_chunk_are_no_commands(demo):
    with Raw(demo) as s:
        s.hello()
        s.send(b"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        assert [s.code() for _ in range(3)] == [503, 503, 250]
        s.envelope(STRANGER, demo.USER1)
        s.send(b"BDAT 99999999999999999999 LAST\r\nNOOP\r\n")
        assert s.code() == 552 and s.at_end()
    with Raw(demo) as s:
        s.hello()
        s.send(b"BDAT ten\r\nNOOP\r\n")
        assert s.code() == 501 and s.at_end()


def test_a_client_that_goes_within_a_chunk_leaves_nothing(demo):
    marks = [token(), token()]
    for mark in marks:
        s = submit(demo) if mark == marks[1] else Raw(demo)
        if mark == marks[0]:
            s.hello()
        s.envelope(demo.USER1 if mark == marks[1] else STRANGER, demo.USER1)
        s.send(b"BDAT 100\r\n" + text(mark)[:100])
        assert s.code() == 250
        s.send(b"BDAT 100000 LAST\r\n" + text(mark)[100:])
        s.sock.close()
    with Raw(demo) as s:
        s.hello()
        assert s.cmd("NOOP")[0] == 250
    found = demo.messages()
    assert not any(m.encode() in x for m in marks for x in found)


@pytest.mark.parametrize("role", ["mx", "submit"])
@pytest.mark.parametrize("how", ["data", "bdat"])
def test_the_largest_message_needs_little_memory(demo, role, how):
    mark = token()
    head = text(mark, demo.USER1)
    line = os.urandom(36).hex().encode() + b"\r\n"
    body = head + line * ((LARGE - len(head)) // len(line))
    with (submit(demo) if role == "submit" else Raw(demo, timeout=60)) as s:
        s.sock.settimeout(60)
        if role == "mx":
            s.hello()
        s.ok(f"MAIL FROM:<{demo.USER1 if role == 'submit' else STRANGER}> SIZE={len(body)}")
        s.ok(f"RCPT TO:<{demo.USER2}>")
        if how == "data":
            s.ok("DATA", 354)
            s.sock.sendall(body + b".\r\n")
            assert s.code() == 250
        else:
            for at in range(0, len(body), 1 << 20):
                s.send(chunks(body[at:at + (1 << 20)], 1 << 20).replace(b" LAST", b"", 1)
                       if at + (1 << 20) < len(body) else chunks(body[at:], 1 << 20))
                assert s.code() == 250
        assert s.cmd(f"MAIL FROM:<{demo.USER1 if role == 'submit' else STRANGER}> "
                     f"SIZE={LARGE + 1}")[0] == 552
    got = demo.wait_message(mark.encode(), 2)
    kept = got[got.index(b"From: "):] if role == "mx" else got
    want = body[body.index(b"\r\n\r\n"):]
    assert hashlib.sha256(kept[kept.index(b"\r\n\r\n"):]).digest() == hashlib.sha256(want).digest()
    demo.empty(2)
    if not SANITIZED:
        assert peak(demo, role) < 40 << 20


# ---- what a message may ask for --------------------------------------------------------------


def test_what_is_offered_is_what_may_be_asked_for(demo):
    with Raw(demo) as s:
        _, said = s.hello()
        assert "LIMITS MAILMAX=999999 RCPTMAX=1000" in said and "DELIVERBY 60" in said
        for p in ("HOLDFOR=60", "MT-PRIORITY=3", "HOLDUNTIL=2999-01-01T00:00:00Z"):
            assert s.cmd(f"MAIL FROM:<{STRANGER}> {p}")[0] == 555
        r = s.cmd(f"MAIL FROM:<{STRANGER}> REQUIRETLS")
        assert r[0] == 530 and r[1][0].startswith("5.7.10")
        s.ok("STARTTLS", 220)
        s.start_tls()
        assert "REQUIRETLS" in s.ok("EHLO client.test")[1]
        s.ok(f"MAIL FROM:<{STRANGER}> REQUIRETLS BY=3600;N")
    with submit(demo) as s:
        _, said = s.ok("EHLO client.test")
        assert any(w.startswith("FUTURERELEASE 2592000 20") for w in said) and "MT-PRIORITY" in said
        r = s.ok(f"MAIL FROM:<{demo.USER1}> MT-PRIORITY=-4 HOLDFOR=60 RET=HDRS ENVID=x")
        assert "priority -4" in r[1][0]


def test_a_held_message_comes_when_it_is_to_come(demo):
    mark = token()
    with submit(demo) as s:
        s.ok(f"MAIL FROM:<{demo.USER1}> HOLDFOR=4")
        s.ok(f"RCPT TO:<{demo.USER2}>")
        s.ok("DATA", 354)
        began = time.monotonic()
        s.send(text(mark, demo.USER1) + b".\r\n")
        assert s.code() == 250
    here = any(mark.encode() in m for m in demo.messages(2))
    assert not here or time.monotonic() - began > 3
    demo.wait_message(mark.encode(), 2, 30)
    demo.empty(2)


def test_a_mailbox_that_is_too_new_is_refused(demo):
    with Raw(demo) as s:
        s.hello()
        s.ok(f"MAIL FROM:<{STRANGER}>")
        r = s.cmd(f"RCPT TO:<{demo.USER1}> RRVS=2001-01-01T00:00:00Z")
        assert r[0] == 550 and r[1][0].startswith("5.7.17")
        s.ok("RCPT TO:<postmaster@example.test> RRVS=2001-01-01T00:00:00Z") # RFC 7293 5.1: a role
        s.ok(f"RCPT TO:<{demo.USER1}> RRVS=2999-01-01T00:00:00Z;R")


def test_success_is_reported_when_asked_for(demo):
    mark = token()
    demo.empty(1)
    with smtplib.SMTP_SSL(demo.TLS_NAME, demo.SUBMISSIONS_PORT, context=demo.tls) as s:
        s.login(demo.USER1, demo.PASS1)
        s.sendmail(demo.USER1, [demo.USER2], text(mark, demo.USER1),
                   mail_options=["RET=HDRS", "ENVID=" + mark],
                   rcpt_options=["NOTIFY=SUCCESS", f"ORCPT=rfc822;{demo.USER2}"])
    demo.wait_message(mark.encode(), 2)
    report = email.message_from_bytes(demo.wait_message(b"Original-Envelope-Id: " + mark.encode()))
    status = next(p for p in report.walk() if p.get_content_type() == "message/delivery-status")
    fields = status.get_payload()[1]
    assert fields["Action"] == "delivered" and fields["Status"].startswith("2.")
    assert demo.USER2 in fields["Final-Recipient"]
    demo.empty(1)
    demo.empty(2)


def test_swaks_is_served(demo):
    mark = token()
    r = subprocess.run(
        ["swaks", "--server", f"{demo.HOST}:{demo.SUBMISSION_PORT}", "--tls", "--auth", "PLAIN",
         "--auth-user", demo.USER1, "--auth-password", demo.PASS1, "--from", demo.USER1,
         "--to", demo.USER2, "--pipeline", "--header", f"Subject: {mark}"],
        capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr
    assert "CHUNKING" in r.stdout
    demo.wait_message(mark.encode(), 2)
    demo.empty(2)
