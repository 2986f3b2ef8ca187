"""SMTP from outside: every case speaks to the running program."""
import email
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import time
import uuid

import pytest

from conftest import SANITIZED
from raw import Raw, submit

STRANGER = "ann@sender.example"


def token():
    return uuid.uuid4().hex


def text(mark, sender=STRANGER):
    return (f"From: <{sender}>\r\nTo: <you@example.test>\r\nSubject: {mark}\r\n"
            f"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\n\r\nhello {mark}\r\n").encode()


# ---- the ordinary case -----------------------------------------------------------------------


def test_a_message_from_outside_arrives(demo):
    mark = token()
    with Raw(demo) as s:
        s.hello()
        code, said = s.message(STRANGER, demo.USER1, text(mark))
        assert code == 250
        number = re.fullmatch(r"2\.0\.0 queued as ([0-9a-z]{13})", said[0])[1]
        assert s.cmd("QUIT")[0] == 221 and s.at_end()
    got = demo.wait_message(mark.encode())
    head = email.message_from_bytes(got)
    assert got.endswith(text(mark))
    assert head["Return-Path"] == f"<{STRANGER}>"
    received = head.get_all("Received")
    assert len(received) == 1 and number in received[0] and "client.test" in received[0]
    assert "127.0.0.1" in received[0] and "with ESMTP" in received[0]
    assert demo.wait_log(f"smtp.accept .*id={number} .*rcpts=1")


def test_the_extensions_are_those_that_work(demo):
    with Raw(demo) as s:
        _, said = s.hello()
        assert set(w.split()[0] for w in said[1:]) == {
            "PIPELINING", "SIZE", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "SMTPUTF8",
            "DSN", "CHUNKING", "BINARYMIME", "DELIVERBY", "RRVS", "LIMITS"}
        s.ok("STARTTLS", 220)
        s.start_tls()
        _, said = s.ok("EHLO client.test")
        assert "STARTTLS" not in said and not any(w.startswith("AUTH") for w in said)
    with Raw(demo, demo.SUBMISSION_PORT) as s:
        _, said = s.hello()
        assert "STARTTLS" in said and not any(w.startswith("AUTH") for w in said)
        s.ok("STARTTLS", 220)
        s.start_tls()
        _, said = s.ok("EHLO client.test")
        assert any(w.startswith("AUTH ") and " PLAIN" in w for w in said)


def test_one_message_to_two_mailboxes(demo):
    mark = token()
    with Raw(demo) as s:
        s.hello()
        assert s.message(STRANGER, [demo.USER1, demo.USER2], text(mark))[0] == 250
    for who in (1, 2):
        demo.wait_message(mark.encode(), who)


def test_postmaster_needs_no_domain(demo):
    with Raw(demo) as s:
        s.hello()
        assert s.message("", "Postmaster", text(token()))[0] == 250


def test_many_messages_in_one_go(demo):
    marks = [token() for _ in range(50)]
    with Raw(demo) as s:
        s.hello()
        for m in marks:
            s.send(b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" %
                   (STRANGER.encode(), demo.USER2.encode()) + text(m) + b".\r\n")
        s.send(b"QUIT\r\n")
        assert [s.code() for _ in range(201)] == [250, 250, 354, 250] * 50 + [221]
        assert s.at_end()
    found = b"".join(demo.messages(2))
    assert all(m.encode() in found for m in marks)
    demo.empty(2)


def test_eight_bits_and_dots_come_through(demo):
    mark = token()
    body = text(mark) + b"..\r\n.\r\n. \r\n" + bytes(range(1, 10)) + bytes(range(128, 256)) + b"\r\n"
    with Raw(demo) as s:
        s.hello()
        assert s.message(STRANGER, demo.USER1, body)[0] == 250
    assert demo.wait_message(mark.encode()).endswith(body)


def test_addresses_beyond_ascii(demo):
    mark = token()
    with Raw(demo) as s:
        s.hello()
        s.ok("MAIL FROM:<jürgen@bücher.example> SMTPUTF8")
        s.ok(f"RCPT TO:<{demo.USER1}>")
        s.ok("DATA", 354)
        s.send(text(mark, "jürgen@bücher.example") + b".\r\n")
        assert s.code() == 250
    got = demo.wait_message(mark.encode())
    assert "with UTF8SMTP" in email.message_from_bytes(got)["Received"].replace("\r\n", "")


# ---- never fooled ----------------------------------------------------------------------------

PARTS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b"\n\n", b"\r\r", b"\n\r\n",
         b"\r\n\n", b"\0\r\n", b"\r\n\0", b"\r\0\n", b"\0\n", b"\n\0", b"\r\n\r\r\n"]
ENDINGS = [(a, b) for a in PARTS for b in PARTS
           if not (a == b"\r\n" and b.startswith(b"\r\n"))]
FOLLOWS = b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"


def smuggle(demo, before, after, in_header, cut):
    """One attempt: the whole must be refused, and the connection closed."""
    with Raw(demo) as s:
        s.hello()
        s.envelope(STRANGER, demo.USER1)
        s.ok("DATA", 354)
        head = b"Subject: carrier" if in_header else b"Subject: carrier\r\n\r\nbody"
        data = head + before + b"." + after + FOLLOWS % demo.USER1.encode() + b"QUIT\r\n"
        at = len(head) + cut
        try:
            s.send(data[:at])
            s.send(data[at:])
        except (ConnectionResetError, BrokenPipeError):
            pass
        code = s.code()
        return code is not None and 500 <= code <= 599 and s.at_end()


def test_T001_no_message_is_smuggled_in(demo):
    """CVE-2023-51764 and its kin: 251 endings that are none, in body and header, cut anywhere."""
    assert len(ENDINGS) >= 200
    failed = [(a, b) for i, (a, b) in enumerate(ENDINGS)
              if not smuggle(demo, a, b, i % 3 == 0, i % (len(a) + len(b) + 2))]
    assert not failed
    assert not any("smtp.accept" in line for line in demo.log_lines())
    assert not any(b"smuggled" in m or b"carrier" in m for m in demo.messages(1))


@pytest.mark.parametrize("line", [b"NOOP\nNOOP\r\n", b"NOOP\rNOOP\r\n", b"NO\0OP\r\n", b"\n", b"\r\r\n"])
def test_T001_commands_end_in_cr_lf(demo, line):
    with Raw(demo) as s:
        s.hello()
        s.send(line + b"MAIL FROM:<a@sender.example>\r\n")
        assert s.code() == 554 and s.at_end()


def test_T004_nothing_is_left_after_a_refusal(demo):
    with Raw(demo) as s:
        s.hello()
        s.envelope(STRANGER, demo.USER1)
        s.ok("DATA", 354)
        s.send(b"x" * 70000 + b"\r\n.\r\n")
        assert s.code() == 554
        for command in ("DATA", f"RCPT TO:<{demo.USER1}>"):
            assert s.cmd(command)[0] == 503
        assert s.message(STRANGER, demo.USER1, text(token()))[0] == 250


@pytest.mark.parametrize("how", ["fin", "reset", "notify", "garbage"])
@pytest.mark.parametrize("where", ["head", "body", "dot"])
def test_T005_an_end_within_the_text_is_the_end(demo, how, where):
    mark = token()
    with Raw(demo) as s:
        s.hello()
        s.ok("STARTTLS", 220)
        plain = s.sock.dup()
        s.start_tls()
        s.ok("EHLO client.test")
        s.envelope(STRANGER, demo.USER1)
        s.ok("DATA", 354)
        s.send({"head": b"Subject: %s\r\n", "body": b"Subject: %s\r\n\r\nbody\r\n",
                "dot": b"Subject: %s\r\n\r\nbody\r\n."}[where] % mark.encode())
        if how == "fin":
            plain.shutdown(socket.SHUT_WR)
        elif how == "reset":
            plain.close()
            s.reset()
        elif how == "notify":
            s.sock.settimeout(5)
            try:
                s.sock.unwrap()
            except (OSError, ssl.SSLError):
                pass
        else:
            plain.sendall(b"\r\n.\r\n")
        plain.close()
    with Raw(demo) as s:  # it still serves
        s.hello()
        assert s.message(STRANGER, demo.USER2, text(token()))[0] == 250
    assert not any(mark.encode() in m for m in demo.messages(1))


def test_T006_a_line_without_end_is_left(demo):
    with Raw(demo) as s:
        s.hello()
        sent = 0
        try:
            while sent < 20_000_000:
                s.send(b"A" * 65536)
                sent += 65536
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert sent < 20_000_000


def test_T017_a_browser_is_sent_away(demo):
    for port, tls in ((demo.SMTP_PORT, False), (demo.SUBMISSION_PORT, False),
                      (demo.SUBMISSIONS_PORT, True)):
        with Raw(demo, port, tls) as s:
            s.send(b"POST /<script> HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b>\r\n")
            assert s.code() == 220
            code, said = s.reply()
            assert code == 554 and "script" not in said[0] and s.at_end()


def test_T019_nothing_typed_before_starttls_survives(demo):
    for port in (demo.SMTP_PORT, demo.SUBMISSION_PORT):
        with Raw(demo, port) as s:
            s.hello()
            s.send(b"STARTTLS\r\nNOOP\r\n")
            assert s.code() == 554 and s.at_end()
        with Raw(demo, port) as s:
            s.hello()
            s.ok("STARTTLS", 220)
            s.send(b"EHLO evil\r\nMAIL FROM:<evil@sender.example>\r\n")
            s.sock.settimeout(5)
            try:
                answer = s.sock.recv(4096)  # an alert of TLS, or nothing
            except ConnectionResetError:
                answer = b""
            assert not answer[:1].isdigit()


FORMS = """
joe@elsewhere.example @example.test:joe@elsewhere.example joe%elsewhere.example@other.example
elsewhere.example!joe@other.example "joe@example.test"@elsewhere.example
joe@example.test@elsewhere.example joe@elsewhere.example@example.test "joe"@elsewhere.example
joe@[127.0.0.1] joe@[IPv6:::1] joe@[::1] joe@127.0.0.1 joe@localhost joe@mail.example.test
joe@example.test.elsewhere.example joe@xexample.test joe@example.testx joe@test
@elsewhere.example,@example.test:joe@elsewhere.example @example.test@elsewhere.example
joe@example.test.. joe@.example.test joe@example..test joe@example.test:25 joe@example.test/x
ann%elsewhere.example@example.test elsewhere.example!ann@example.test
"ann%elsewhere.example"@example.test "elsewhere.example!ann"@example.test nobody@example.test
nobody+ann@example.test ann.@example.test .ann@example.test a..nn@example.test
""  @ @@ ann ann@ @example.test <ann@example.test> ann@example.test> <ann@example.test
ann@example.test<x@elsewhere.example ann@example.test,joe@elsewhere.example
ann@example.test;joe@elsewhere.example joe@elsewhere.example#@example.test
joe@elsewhere.example/../@example.test joe@elsewhere.example\\@example.test
joe(@example.test)@elsewhere.example "joe\\"@example.test\\""@elsewhere.example
joe@elsewhere.example?@example.test joe@elsewhere.example&x@example.test
|id@elsewhere.example /dev/null@elsewhere.example ${run{id}}@elsewhere.example
joe@exam\u200bple.test joe@\uff45xample.test joe@example\u3002test@elsewhere.example
joe@xn--example-.test joe@xn--.test root@elsewhere.example postmaster@elsewhere.example
""".split()


def test_T040_no_form_of_address_relays(demo):
    assert len(FORMS) >= 60
    for at in range(0, len(FORMS), 15):  # a stranger has twenty errors
        with Raw(demo) as s:
            s.hello()
            s.ok(f"MAIL FROM:<{STRANGER}> SMTPUTF8")
            wrong = [f for f in FORMS[at:at + 15] if not 500 <= s.cmd(f"RCPT TO:<{f}>")[0] <= 599]
            assert not wrong
            assert s.cmd("DATA")[0] == 554


@pytest.mark.parametrize("how", ["half-close", "at once", "in commands"])
def test_pipelined_and_gone(demo, how):
    """Who sends all at once and closes its side still gets every answer."""
    mark = token()
    with Raw(demo) as s:
        s.send(b"EHLO client.test\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" %
               (STRANGER.encode(), demo.USER1.encode()) + text(mark) + b".\r\n")
        if how == "half-close":
            s.sock.shutdown(socket.SHUT_WR)
            assert [s.code() for _ in range(6)] == [220, 250, 250, 250, 354, 250]
            assert s.at_end()
            demo.wait_message(mark.encode())
        elif how == "at once":
            assert [s.code() for _ in range(6)] == [220, 250, 250, 250, 354, 250]
            s.reset()
            demo.wait_message(mark.encode())
        else:
            s.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<")
            s.reset()


def test_a_hundred_at_once(demo):
    sessions = [Raw(demo) for _ in range(100)]
    marks = [token() for _ in sessions]
    try:
        for s in sessions:
            s.hello()
        for s, m in zip(sessions, marks):
            s.send(b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" %
                   (STRANGER.encode(), demo.USER2.encode()) + text(m) + b".\r\n")
        for s in sessions:
            assert [s.code() for _ in range(4)] == [250, 250, 354, 250]
    finally:
        for s in sessions:
            s.sock.close()
    found = b"".join(demo.messages(2))
    assert all(m.encode() in found for m in marks)
    demo.empty(2)


# ---- limits ------------------------------------------------------------------------------------


def peak(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) * 1024


def mx_pid(demo):
    return next(pid for pid, name in demo.roles().items() if name == "mx")


def test_fifty_megabytes_pass_in_little_memory(demo):
    size = 50 << 20
    mark = token()
    head = text(mark)
    line = b"0123456789" * 7 + b"\r\n"
    lines = (size - len(head) - 100) // len(line)
    before = peak(mx_pid(demo))
    with Raw(demo, timeout=120) as s:
        s.hello()
        s.ok(f"MAIL FROM:<{STRANGER}> SIZE={size}")
        s.ok(f"RCPT TO:<{demo.USER2}>")
        s.ok("DATA", 354)
        s.send(head)
        for _ in range(0, lines, 10000):
            s.send(line * min(10000, lines - _))
        s.send(b".\r\n")
        assert s.code() == 250
    assert SANITIZED or peak(mx_pid(demo)) - before < 8 << 20
    box = demo.imap(demo.USER2, demo.PASS2)
    box.select("INBOX", readonly=True)
    _, sizes = box.fetch("1:*", "(RFC822.SIZE)")
    box.logout()
    assert max(int(re.search(rb"RFC822.SIZE (\d+)", s)[1]) for s in sizes) > lines * len(line)
    demo.empty(2)


def test_what_is_too_large_is_refused(demo):
    size = 50 << 20
    with Raw(demo, timeout=120) as s:
        s.hello()
        assert s.cmd(f"MAIL FROM:<{STRANGER}> SIZE={size + 1}")[0] == 552
        s.envelope(STRANGER, demo.USER1)
        s.ok("DATA", 354)
        for _ in range(51):
            s.send(b"0123456789abcde\r\n" * (1 << 16))
        s.send(b".\r\n")
        assert s.code() == 552
        assert s.message(STRANGER, demo.USER1, text(token()))[0] == 250


def test_a_message_in_circles_is_refused(demo):
    hops = b"".join(b"Received: from a by b; Mon, 02 Jan 2023 10:00:00 +0000\r\n" for _ in range(101))
    with Raw(demo) as s:
        s.hello()
        code, said = s.message(STRANGER, demo.USER1, hops + text(token()))
        assert code == 554 and said[0].startswith("5.4.6")
        assert s.message(STRANGER, demo.USER1, hops[:55 * 90] + text(token()))[0] == 250


def test_the_silent_and_the_slow_are_left(start_demo):
    demo = start_demo("smtp.idle=1s")
    with Raw(demo) as s:
        s.hello()
        code, said = s.reply()
        assert code == 421 and said[0].startswith("4.4.2") and s.at_end()
    with Raw(demo) as s:
        s.hello()
        s.envelope(STRANGER, demo.USER1)
        s.ok("DATA", 354)
        s.send(b"Subject: x\r\n")
        assert s.code() == 421 and s.at_end()
    with Raw(demo) as s:  # one byte now and then does not help
        s.hello()
        began = time.monotonic()
        while time.monotonic() < began + 10:
            try:
                s.send(b"N")
            except OSError:
                break
            time.sleep(0.2)
        assert time.monotonic() < began + 8


def test_421_when_going_down(start_demo):
    demo = start_demo()
    with Raw(demo) as idle, Raw(demo) as busy:
        idle.hello()
        busy.hello()
        busy.envelope(STRANGER, demo.USER1)
        demo.stop()
        for s in (idle, busy):
            code, said = s.reply()
            assert code == 421 and said[0].startswith("4.3.2") and s.at_end()


def test_the_front_may_die(start_demo):
    """A role is disposable: the next connection is served by a new one."""
    demo = start_demo()
    demo.expect("role.ended .*name=mx")
    os.kill(mx_pid(demo), signal.SIGKILL)
    demo.wait_log("role.ended .*name=mx")
    demo.wait_log("role.ready .*name=mx .*")
    until = time.monotonic() + 15
    while True:
        try:
            with Raw(demo) as s:
                s.hello()
                assert s.message(STRANGER, demo.USER1, text(token()))[0] == 250
            break
        except (OSError, AssertionError):
            assert time.monotonic() < until
            time.sleep(0.1)


# ---- submission ---------------------------------------------------------------------------------


def test_login_and_sender(demo):
    with Raw(demo, demo.SUBMISSION_PORT) as s:
        s.hello()
        assert s.cmd(f"MAIL FROM:<{demo.USER1}>")[0] == 530
        assert s.login(demo.USER1, demo.PASS1)[0] == 538
        s.ok("STARTTLS", 220)
        s.start_tls()
        s.ok("EHLO client.test")
        assert s.cmd(f"MAIL FROM:<{demo.USER1}>")[0] == 530
        assert s.login(demo.USER1, "wrong")[0] == 535
        line = demo.wait_log("auth-failed")
        assert re.search(r'auth-failed .*proto=submission mech=PLAIN user="%s" rip=127\.0\.0\.1 '
                         r'reason=bad-password' % re.escape(demo.USER1), line)
        assert s.login(demo.USER1, demo.PASS1)[0] == 235
        assert s.cmd(f"MAIL FROM:<{demo.USER2}>")[0] == 553
        mark = token()
        assert s.message(demo.USER1, [demo.USER1, demo.USER2], text(mark, demo.USER1))[0] == 250
    for who in (1, 2):
        got = email.message_from_bytes(demo.wait_message(mark.encode(), who))
        assert "with ESMTPSA" in got["Received"].replace("\r\n", "")


SENDERS = [
    "From: <{other}>",
    "From: Ann <{me}>, Bob <{other}>",
    "From: <{me}>\r\nFrom: <{other}>",
    "From: <{other}>\r\nFrom: <{me}>",
    "From: <{me}>\r\nSender: <{other}>",
    "From: {me} <{other}>",
    "From: \"{me}\" <{other}>",
    "From: <{other}> ({me})",
    "From:\r\n <{other}>",
    "FROM: <{other}>",
    "From : <{other}>\r\nFrom: <{me}>",
    "From: {other}",
    "From: group: {other};",
    "From: <@example.test:{other}>",
    "From: <{me}> <{other}>",
    "From: <{me},{other}>",
    "From: ",
    "From: nobody",
    "From: <{me}>\r\nResent-From: <{other}>",
]


def test_T042_nobody_sends_as_somebody_else(demo):
    mark = token()
    with submit(demo) as s:
        for form in SENDERS:
            head = form.format(me=demo.USER1, other=demo.USER2)
            code, said = s.message(demo.USER1, demo.USER1,
                                   f"{head}\r\nSubject: {mark}\r\n\r\nx\r\n".encode())
            assert 500 <= code <= 599, form
        code, _ = s.message(demo.USER1, demo.USER1,
                            f"From: Ann <{demo.USER1.upper()}>\r\nSubject: fine\r\n\r\n".encode())
        assert code == 250
    assert not any(mark.encode() in m for m in demo.messages(1))


def test_submitted_heads_are_completed(demo):
    mark = token()
    with submit(demo) as s:
        code, _ = s.message(demo.USER1, demo.USER2,
                            f"Bcc: secret@elsewhere.example\r\nSubject: {mark}\r\n\r\nx\r\n".encode())
        assert code == 250
    got = email.message_from_bytes(demo.wait_message(mark.encode(), 2))
    assert demo.USER1 in got["From"] and got["Date"] and re.fullmatch(r"<\S+@\S+>", got["Message-ID"])
    assert got["Bcc"] is None


def test_mail_from_outside_is_not_touched(demo):
    mark = token()
    with Raw(demo) as s:
        s.hello()
        assert s.message(STRANGER, demo.USER1,
                         f"Subject: {mark}\r\nBcc: <x@elsewhere.example>\r\n\r\nx\r\n".encode())[0] == 250
    got = email.message_from_bytes(demo.wait_message(mark.encode()))
    assert got["Date"] is None and got["Message-ID"] is None and got["Bcc"]


# ---- other people's clients ------------------------------------------------------------------------

PORTS = {"smtp": "SMTP_PORT", "submission": "SUBMISSION_PORT", "submissions": "SUBMISSIONS_PORT"}


@pytest.mark.parametrize("mech", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("service", list(PORTS))
def test_swaks(demo, service, mech):
    mark = token()
    command = ["swaks", "--server", demo.HOST, "--port", str(getattr(demo, PORTS[service])),
               "--to", f"{demo.USER1},{demo.USER2}", "--from", demo.USER1, "--header", f"Subject: {mark}",
               "--tls-ca-path", demo.CAFILE, "--tls-verify",
               "--tls-on-connect" if service == "submissions" else "--tls"]
    if service != "smtp":
        command += ["--auth", mech, "--auth-user", demo.USER1, "--auth-password", demo.PASS1]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for who in (1, 2):
        demo.wait_message(mark.encode(), who)


@pytest.mark.parametrize("service", list(PORTS))
def test_curl(demo, tmp_path, service):
    mark = token()
    (tmp_path / "m").write_bytes(text(mark, demo.USER1))
    scheme = "smtps" if service == "submissions" else "smtp"
    command = ["curl", "-sS", "--ssl-reqd", "--cacert", demo.CAFILE, "--mail-from", demo.USER1,
               "--mail-rcpt", demo.USER1, "--mail-rcpt", demo.USER2, "-T", str(tmp_path / "m"),
               f"{scheme}://{demo.TLS_NAME}:{getattr(demo, PORTS[service])}/client.test"]
    if service != "smtp":
        command += ["--user", f"{demo.USER1}:{demo.PASS1}"]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for who in (1, 2):
        demo.wait_message(mark.encode(), who)


def test_python_smtplib(demo):
    mark = token()
    with smtplib.SMTP_SSL(demo.TLS_NAME, demo.SUBMISSIONS_PORT, context=demo.tls) as s:
        s.login(demo.USER1, demo.PASS1)
        refused = s.sendmail(demo.USER1, [demo.USER1, "nobody@example.test", demo.USER2],
                             text(mark, demo.USER1))
        assert set(refused) == {"nobody@example.test"}
        with pytest.raises(smtplib.SMTPResponseException):
            s.sendmail("else@elsewhere.example", [demo.USER1], text(mark, demo.USER1))
    with smtplib.SMTP(demo.TLS_NAME, demo.SUBMISSION_PORT) as s:
        s.starttls(context=demo.tls)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            s.login(demo.USER1, "wrong")
    for who in (1, 2):
        demo.wait_message(mark.encode(), who)


def test_relaying_needs_a_login(demo):
    with smtplib.SMTP(demo.HOST, demo.SMTP_PORT) as s:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as e:
            s.sendmail(STRANGER, ["joe@elsewhere.example"], text(token()))
        assert e.value.recipients["joe@elsewhere.example"][0] == 550
    with submit(demo) as s:
        s.ok(f"MAIL FROM:<{demo.USER1}>")
        s.ok("RCPT TO:<joe@elsewhere.example>")
        s.ok("RSET")
