"""Who is connecting, and by which door: PROXY protocol, XCLIENT, LMTP, and what is written down about it."""
import contextlib
import imaplib
import os
import pwd
import re
import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import uuid

import pytest

import postfix as debian_postfix
from raw import Raw

CLIENT = "203.0.113.77"
BALANCER = "127.0.0.9"  # what the demo asks itself comes from 127.0.0.1
V2 = b"\r\n\r\n\0\r\nQUIT\n"
PROXIED = "PROXY TCP4 203.0.113.77 198.51.100.2 41234 25\r\n".encode()


def token():
    return uuid.uuid4().hex


def v2(family=0x11, command=0x21, body=None):
    if body is None:
        body = socket.inet_aton(CLIENT) + socket.inet_aton("198.51.100.2") + struct.pack(">HH", 41234, 25)
    return V2 + bytes([command, family]) + struct.pack(">H", len(body)) + body


def text(mark, head=""):
    return (f"From: <ann@sender.example>\r\nTo: <you@example.test>\r\nSubject: {mark}\r\n{head}"
            f"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\n\r\nhello {mark}\r\n").encode()


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """An instance with a balancer in front, which is this machine."""
    from conftest import Demo
    d = Demo(tmp_path_factory.mktemp("behind") / "d", f"proxy.from={BALANCER}",
             "auth.network-attempts=3")
    yield d
    d.begin_test()
    d.stop()


class Behind:
    """The instance, called from the balancer's address."""

    def __init__(self, demo):
        self.demo = demo

    def __getattr__(self, name):
        return getattr(self.demo, name)

    def connect(self, port, timeout=15):
        return socket.create_connection((self.demo.HOST, port), timeout, (BALANCER, 0))


@pytest.fixture
def proxied(behind):
    behind.begin_test()
    yield Behind(behind)
    behind.end_test()


# ---- PROXY protocol --------------------------------------------------------------------------


@pytest.mark.parametrize("header", [PROXIED, v2()], ids=["v1", "v2"])
def test_the_client_behind_a_balancer_is_the_peer(proxied, header):
    mark = token()
    s = Raw(proxied)
    s.send(header)
    s.hello()
    assert s.message("ann@sender.example", proxied.USER1, text(mark))[0] == 250
    s.sock.close()
    got = proxied.wait_message(mark.encode())
    assert f"[{CLIENT}]".encode() in got and BALANCER.encode() not in got
    line = proxied.wait_log(r"smtp.connect ")
    assert f"rip={CLIENT}" in line and f"via={BALANCER}" in line
    assert f"rip={CLIENT}" in proxied.wait_log("smtp.accept ")


@pytest.mark.parametrize("first", [b"EHLO client.test\r\n", b"PROXY TCP4 1.2.3.4\r\n", V2 + b"\x11",
                                   b"PROXY UDP4 1.2.3.4 1.2.3.5 1 2\r\n", b"\x16\x03\x01\x02\x00"])
def test_a_balancer_that_sends_no_header_is_refused(proxied, first):
    proxied.expect("^warn proxy.refused ")
    with Raw(proxied) as s:
        s.send(first)
        assert s.line() is None  # not a word
    assert f"rip={BALANCER}" in proxied.wait_log("proxy.refused ")


def test_a_balancer_that_says_nothing_is_refused_soon(proxied):
    proxied.expect("^warn proxy.refused ")
    with Raw(proxied) as s:
        began = time.monotonic()
        assert s.line() is None
        assert time.monotonic() - began < 14


def test_a_health_check_is_from_the_balancer(proxied):
    with Raw(proxied) as s:
        s.send(v2(command=0x20, family=0, body=b""))
        s.hello()
    assert f"rip={BALANCER}" in proxied.wait_log("smtp.connect ")
    with Raw(proxied) as s:
        s.sock.close()  # only looks whether the port is open


def test_tls_from_the_first_byte_may_follow_the_header_at_once(proxied):
    """The header and the start of the handshake come in one segment."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = proxied.tls.wrap_bio(incoming, outgoing, server_hostname=proxied.TLS_NAME)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    with contextlib.closing(proxied.connect(proxied.SUBMISSIONS_PORT)) as sock:
        sock.sendall(PROXIED + outgoing.read())
        while True:
            try:
                greeting = tls.read(100)
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                got = sock.recv(65536)
                assert got
                incoming.write(got)
        assert greeting.startswith(b"220 ")


def test_imap_and_pop3_know_the_client_too(proxied):
    for port, greeting in ((proxied.IMAP_PORT, b"* OK"), (proxied.POP3_PORT, b"+OK")):
        with contextlib.closing(proxied.connect(port)) as sock:
            sock.sendall(v2())
            assert sock.recv(100).startswith(greeting)
    with contextlib.closing(proxied.connect(proxied.IMAPS_PORT)) as sock:
        sock.sendall(PROXIED)
        with proxied.tls.wrap_socket(sock, server_hostname=proxied.TLS_NAME) as s:
            s.sendall(f"a LOGIN {proxied.USER1} {proxied.PASS1}\r\n".encode())
            said = b""
            while b"a OK" not in said:
                more = s.recv(4096)
                assert more, said
                said += more
    assert f"rip={CLIENT}" in proxied.wait_log("imap.login ")


def test_guesses_are_counted_for_the_client_not_for_the_balancer(proxied):
    def try_login(address, password):
        with contextlib.closing(proxied.connect(proxied.IMAPS_PORT)) as sock:
            sock.sendall(f"PROXY TCP4 {address} 198.51.100.2 4000 993\r\n".encode())
            with proxied.tls.wrap_socket(sock, server_hostname=proxied.TLS_NAME) as s:
                f = s.makefile("rb")
                f.readline()
                s.sendall(f'a LOGIN {proxied.USER2} "{password}"\r\n'.encode())
                while True:
                    line = f.readline()
                    if line.startswith(b"a "):
                        return line
    for _ in range(4):
        assert try_login("192.0.2.66", "wrong").startswith(b"a NO")
    assert try_login("192.0.2.66", proxied.PASS2).startswith(b"a NO")
    assert try_login("198.51.100.7", proxied.PASS2).startswith(b"a OK")


def test_from_anybody_else_the_header_is_a_wrong_command(demo):
    with Raw(demo) as s:
        s.send(PROXIED)
        assert s.code() == 220
        assert s.code() == 500
        s.ok("EHLO client.test")
    assert "rip=127.0.0.1" in demo.wait_log("smtp.connect ")
    with Raw(demo) as s:
        s.send(v2())
        assert s.code() == 220
        assert s.code() in (500, 554)
    demo.wait_log("smtp.connect ")


def test_swaks_speaks_through_the_header(proxied):
    mark = token()
    done = subprocess.run(
        ["swaks", "--server", proxied.HOST, "--port", str(proxied.SMTP_PORT),
         "--local-interface", BALANCER, "--proxy-version", "2",
         "--proxy-family", "AF_INET", "--proxy-source", CLIENT, "--proxy-source-port", "41000",
         "--proxy-dest", "198.51.100.2", "--proxy-dest-port", "25",
         "--from", "ann@sender.example", "--to", proxied.USER1, "--header", f"Subject: {mark}"],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert f"rip={CLIENT}" in proxied.wait_log("smtp.accept ")


HAPROXY = """global
  log stderr local0
defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen mail
  bind 127.0.0.1:{port}
  server a 127.0.0.1:{to} source {balancer} send-proxy{v}
"""


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin:/usr/bin"), reason="HAProxy is not installed")
@pytest.mark.parametrize("version", ["", "-v2", "-v2-ssl-cn"])
def test_haproxy_stands_in_front(proxied, tmp_path, version):
    port = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, to=proxied.SUBMISSIONS_PORT, v=version,
                                      balancer=BALANCER))
    process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(config)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 15
        while True:
            try:
                s = smtplib.SMTP_SSL(proxied.TLS_NAME, port, context=proxied.tls, timeout=15,
                                     source_address=("127.0.0.11", 0))
                break
            except (ConnectionRefusedError, OSError):
                assert time.monotonic() < until
                time.sleep(0.1)
        s.login(proxied.USER1, proxied.PASS1)
        s.sendmail(proxied.USER1, [proxied.USER2], text(token()).replace(b"ann@sender.example",
                                                                          proxied.USER1.encode()))
        s.quit()
        line = proxied.wait_log("smtp.connect .*rip=127.0.0.11")
        assert f"via={BALANCER}" in line
    finally:
        process.terminate()
        process.wait(20)


# ---- what comes in (T054) --------------------------------------------------------------------


FORGED = ["Authentication-Results: mail.example.test; spf=pass smtp.mailfrom=bank.example",
          "AUTHENTICATION-results : (nested (comment \\) here)) \"mail\\.example.test\" 1;\r\n\tdkim=pass",
          "Authentication-Results:\r\n mail.EXAMPLE.test;\r\n dmarc=pass", "Return-Path: <forged@bank.example>"]
HONEST = ["Authentication-Results: mx.other.example; spf=pass smtp.mailfrom=a@b",
          "ARC-Authentication-Results: i=1; mail.example.test; spf=pass"]


@pytest.mark.parametrize("submitted", [False, True], ids=["port 25", "submission"])
def test_nobody_speaks_as_our_checks(demo, submitted):
    from raw import submit
    mark = token()
    sender = demo.USER1 if submitted else "ann@sender.example"
    body = text(mark, "\r\n".join(FORGED + HONEST) + "\r\n").replace(b"ann@sender.example", sender.encode())
    s = submit(demo) if submitted else Raw(demo)
    with s:
        if not submitted:
            s.hello()
        assert s.message(sender, demo.USER1, body)[0] == 250
    got = demo.wait_message(mark.encode())
    for field in HONEST:
        assert field.encode() in got
    assert b"nested" not in got and b"bank.example" not in got and b"dmarc=pass" not in got
    assert got.lower().count(b"\r\nauthentication-results") == 1
    assert got.count(b"Return-Path:") == 1 and got.startswith(f"Return-Path: <{sender}>".encode())


def test_a_message_that_goes_in_circles_is_stopped(demo):
    with Raw(demo) as s:
        s.hello()
        lines = "".join(f"Received: from a by b; {i}\r\n" for i in range(100))
        assert s.message("ann@sender.example", demo.USER1, text(token(), lines))[0] == 250
        code, said = s.message("ann@sender.example", demo.USER1, text(token(), lines + "RECEIVED: x\r\n"))
        assert code == 554 and said[0].startswith("5.4.6 ")


# ---- XCLIENT ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fronted(tmp_path_factory):
    from conftest import Demo
    folder = tmp_path_factory.mktemp("fronted")
    socket_folder = tempfile.mkdtemp(prefix="eilpost-lmtp-") # not below pytest's, which is closed to others
    if debian_postfix.missing() is None:
        os.chown(socket_folder, pwd.getpwnam("postfix").pw_uid, -1)
    d = Demo(folder / "d", "xclient.from=127.0.0.1", "connections.per-address=3",
             f"listen.lmtp=unix:{socket_folder}/lmtp")
    d.lmtp = f"{socket_folder}/lmtp"
    yield d
    d.begin_test()
    d.stop()
    shutil.rmtree(socket_folder)


@pytest.fixture
def front(fronted):
    fronted.begin_test()
    yield fronted
    fronted.end_test()


def trace(demo, what):
    from conftest import PROGRAM
    done = subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", "--json", "trace", what],
                          capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def wait_trace(demo, what, *wanted):
    """What is written down of it, waiting for it (a front does not wait until the store has it)."""
    until = time.monotonic() + 10
    while True:
        said = trace(demo, what)
        if all(w in said for w in wanted):
            return said
        assert time.monotonic() < until, f"{wanted} not in {said}"
        time.sleep(0.1)


def test_swaks_speaks_for_a_client(front):
    mark = token()
    done = subprocess.run(
        ["swaks", "--server", front.HOST, "--port", str(front.SMTP_PORT), "--xclient-addr", CLIENT,
         "--xclient-name", "mx.other.example", "--from", "ann@sender.example", "--to", front.USER1,
         "--header", f"Subject: {mark}"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    got = front.wait_message(mark.encode())
    assert f"(mx.other.example [{CLIENT}])".encode() in got
    assert f"rip={CLIENT}" in front.wait_log("smtp.accept ")
    assert "via=127.0.0.1 name=mx.other.example" in front.wait_log("smtp.xclient ")
    number = re.search(rb"id ([0-9a-z]{13})", got)[1].decode()
    wait_trace(front, number, f"[{CLIENT}] ESMTP", "named mx.other.example", "via 127.0.0.1")


def test_nothing_said_of_one_client_is_believed_of_the_next(front):
    mark = token()
    with Raw(front) as s:
        s.hello()
        s.ok(f"XCLIENT NAME=mx.other.example ADDR={CLIENT} HELO=one.example", 220)
        s.ok("XCLIENT NAME=[UNAVAILABLE] ADDR=198.51.100.7", 220)
        assert s.cmd("MAIL FROM:<ann@sender.example>")[0] == 503, "nobody has said EHLO"
        s.ok("EHLO two.example")
        assert s.message("ann@sender.example", front.USER1, text(mark))[0] == 250
    got = front.wait_message(mark.encode())
    assert b"[198.51.100.7]" in got and b"mx.other.example" not in got and CLIENT.encode() not in got


def test_no_account_comes_from_a_front(front):
    with Raw(front, front.SUBMISSIONS_PORT, tls=True) as s:
        s.hello()
        s.ok(f"XCLIENT ADDR={CLIENT} LOGIN={front.USER1}", 220)
        s.ok("EHLO client.test")
        assert s.cmd(f"MAIL FROM:<{front.USER1}>")[0] == 530
    assert 'login="not believed"' in front.wait_log("smtp.xclient ")


def test_xclient_is_not_for_everybody(demo):
    with Raw(demo) as s:
        _, said = s.hello()
        assert not any(w.startswith("XCLIENT") for w in said)
        assert s.cmd(f"XCLIENT ADDR={CLIENT}") == (550, ["5.7.0 XCLIENT is not for you"])
    with Raw(demo) as s:
        s.hello()
        assert s.message("ann@sender.example", demo.USER1, text(token()))[0] == 250
    assert "rip=127.0.0.1" in demo.wait_log("smtp.accept ")


# ---- LMTP ------------------------------------------------------------------------------------


class Lmtp(Raw):
    def __init__(self, demo):
        self.demo = demo
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(15)
        self.sock.connect(demo.lmtp)
        self.rest = b""
        assert self.code() == 220
        self.ok("LHLO front.test")


def test_the_socket_is_for_the_owner_of_its_folder(front):
    assert os.stat(front.lmtp).st_mode & 0o777 == 0o660
    assert os.stat(front.lmtp).st_uid == os.stat(os.path.dirname(front.lmtp)).st_uid


def test_lmtp_answers_for_each_recipient(front):
    mark = token()
    with Lmtp(front) as s:
        s.ok("MAIL FROM:<ann@sender.example>")
        assert s.cmd("RCPT TO:<nobody@example.test>")[0] == 550
        assert s.cmd("RCPT TO:<joe@elsewhere.example>")[0] == 550  # no relaying
        for user in (front.USER1, front.USER2):
            s.ok(f"RCPT TO:<{user}>")
        s.ok("DATA", 354)
        s.send(text(mark) + b".\r\n")
        assert [s.code(), s.code()] == [250, 250]
        s.ok("QUIT", 221)
        assert s.at_end()
    for who in (1, 2):
        got = front.wait_message(mark.encode(), who)
    assert b"with LMTP" in got and b"[unix]" not in got and b"Received: from front.test\r\n" in got


def test_who_is_disabled_meanwhile_is_refused_alone(front):
    from conftest import PROGRAM
    base = [PROGRAM, "--config", front.dir + "/eilpost.conf", "account"]
    mark = token()
    with Lmtp(front) as s:
        s.envelope("ann@sender.example", front.USER1, front.USER2)
        subprocess.run(base + ["disable", front.USER2], check=True, capture_output=True, timeout=60)
        try:
            s.ok("DATA", 354)
            s.send(text(mark) + b".\r\n")
            assert s.code() == 250
            code, said = s.reply()
            assert code in (450, 451, 550, 552, 452), said
        finally:
            subprocess.run(base + ["enable", front.USER2], check=True, capture_output=True, timeout=60)
        s.envelope("ann@sender.example", front.USER2)
        s.ok("DATA", 354)
        s.send(text(mark + "x") + b".\r\n")
        assert s.code() == 250
    front.wait_message(mark.encode())
    front.wait_message((mark + "x").encode(), 2)
    assert not any(mark.encode() in m and (mark + "x").encode() not in m for m in front.messages(2))
    assert not any(b"ann@sender.example" in line.encode() and "queued" in line
                   for line in front.log_lines())  # nobody is owed a report


def test_lmtp_has_no_rates(front):
    socks = []
    for _ in range(10):  # more than connections.per-address
        socks.append(Lmtp(front))
    for s in socks:
        s.sock.close()


@pytest.mark.skipif(debian_postfix.missing() is not None, reason=debian_postfix.missing() or "")
def test_postfix_hands_over_through_the_socket(front):
    p = debian_postfix.Postfix(free_port(), settings=f"""virtual_mailbox_domains = example.test
virtual_transport = lmtp:unix:{front.lmtp}
""")
    try:
        with open(p.dir + "/etc/master.cf", "a") as f:
            f.write("lmtp unix - - n - - lmtp\n")
        subprocess.run(["postfix", "-c", p.dir + "/etc", "reload"], check=True, capture_output=True)
        mark = token()
        with smtplib.SMTP("127.0.0.1", p.port, timeout=30) as s:
            s.sendmail("ann@sender.example", [front.USER1, front.USER2, "nobody@example.test"], text(mark))
        p.wait_log("status=bounced (host")
        for who in (1, 2):
            assert mark.encode() in front.wait_message(mark.encode(), who)
        assert p.log().count("status=sent (250 2.0.0 queued as ") == 2
    finally:
        p.stop()


# ---- what is written down --------------------------------------------------------------------


def test_what_was_refused_is_found(demo):
    sender, nobody = f"{token()}@sender.example", f"{token()}@example.test"
    with Raw(demo) as s:
        s.hello()
        s.ok(f"MAIL FROM:<{sender}>")
        assert s.cmd(f"RCPT TO:<{nobody}>")[0] == 550
        s.ok(f"RCPT TO:<{demo.USER1}>")
        s.ok("RSET")
    wait_trace(demo, sender, "550 5.1.1", "rejected", nobody, "named", demo.USER1, "127.0.0.1", "client.test")
    said = wait_trace(demo, nobody, "refused", sender)
    number = re.search(r'"id": ?"([0-9a-z]{13})"', said)[1]
    assert f"id={number}" in demo.wait_log("smtp.reject ")
    wait_trace(demo, number, sender)


def test_what_broke_off_is_found(demo):
    sender = f"{token()}@sender.example"
    with Raw(demo) as s:
        s.hello()
        s.envelope(sender, demo.USER1)
        s.ok("DATA", 354)
        s.send(b"Subject: x\r\n")
        s.reset()
    wait_trace(demo, sender, "broken off")


def test_a_refused_message_has_an_id_to_ask_for(demo):
    lines = "".join(f"Received: from a by b; {i}\r\n" for i in range(101))
    with Raw(demo) as s:
        s.hello()
        code, said = s.message("ann@sender.example", demo.USER1, text(token(), lines))
    number = re.search(r"\(([0-9a-z]{13})\)$", said[0])[1]
    wait_trace(demo, number, "5.4.6", "refused")


def test_who_was_named_in_vain_is_in_the_trace_of_the_message(demo):
    from raw import submit
    nobody = f"{token()}@example.test"
    with submit(demo) as s:
        s.ok(f"MAIL FROM:<{demo.USER1}>")
        assert s.cmd(f"RCPT TO:<{nobody}>")[0] == 550
        s.ok(f"RCPT TO:<{demo.USER2}>")
        s.ok("DATA", 354)
        s.send(text(token()).replace(b"ann@sender.example", demo.USER1.encode()) + b".\r\n")
        number = s.reply()[1][0].split()[-1]
    wait_trace(demo, number, "accepted", "delivered", "rejected", nobody, "TLSv1.3 TLS_", "submissions",
               f"login {demo.USER1}")


def test_a_hostile_client_forges_no_line(demo):
    with Raw(demo) as s:
        s.hello()
        s.cmd(b"MAIL FROM:<a@b.example> \x1b[31m=x\x07")
        s.cmd(b"RCPT TO:<\x1b]0;x\x07@example.test>")
        s.ok("MAIL FROM:<a@b.example>")
        s.cmd(b"RCPT TO:<\x1b]0;x\x07@example.test> \x9b")
        s.ok("QUIT", 221)
    demo.wait_log("smtp.disconnect ")
    with open(demo.log_path, "rb") as f:
        f.seek(demo.log_at)
        log = f.read()
    assert all(b == 10 or 32 <= b < 127 for b in log)
    for line in demo.log_lines():
        if "smtp." in line:
            assert re.fullmatch(r'(info|warn) [a-z.-]+( [a-z]+=("([^"\\]|\\.)*"|[^" ]*))+', line), line
