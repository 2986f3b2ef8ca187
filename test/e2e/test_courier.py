"""Mail goes out: routes, MX records, the smarthost, retries, reports, and what a kill leaves behind."""
import email
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import uuid
import base64

import pytest

import postfix
from raw import submit

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tools"))
from dnsd import Dns  # noqa: E402
from sinkd import Sink  # noqa: E402


def token():
    return uuid.uuid4().hex


def text(mark, body="hello\r\n"):
    return (f"From: <ann@example.test>\r\nTo: <somebody@far.test>\r\nSubject: {mark}\r\n"
            f"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\nMessage-ID: <{mark}@example.test>\r\n\r\n"
            f"{body}").encode()


def send(demo, rcpts, mark, body="hello\r\n"):
    with submit(demo) as s:
        code, said = s.message(demo.USER1, rcpts, text(mark, body))
        assert code == 250
        s.cmd("QUIT")
    return re.search(r"queued as ([0-9a-z]{13})", said[0])[1]


def bounce(demo, mark, who=1, seconds=20):
    """The report about a message, taken apart: (whole, {recipient: fields})."""
    m = email.message_from_bytes(demo.wait_message(mark.encode(), who, seconds))
    assert m.get_content_type() == "multipart/report"
    assert m.get_param("report-type") == "delivery-status"
    assert m["Return-Path"] == "<>"
    parts = m.get_payload()
    assert [p.get_content_type() for p in parts][:2] == ["text/plain", "message/delivery-status"]
    blocks = parts[1].get_payload()
    assert blocks[0]["Reporting-MTA"] .replace(" ", "") == "dns;mail.example.test"
    return m, {b["Final-Recipient"].split(";")[1].strip(): b for b in blocks[1:]}


@pytest.fixture
def sink():
    s = Sink()
    yield s
    s.stop()
    assert s.wrong == []


@pytest.fixture
def dns():
    d = Dns()
    yield d
    d.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(certificate, key) of a server that stands for itself: 127.0.0.1 and localhost."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-keyout", key, "-out", cert, "-subj", "/CN=sink.test",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:sink.test"],
                   check=True, capture_output=True)
    folder.chmod(0o755)
    os.chmod(cert, 0o644)
    return cert, key


def server_tls(certificate):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*certificate)
    return c


# ---- routes ------------------------------------------------------------------------------------


def test_a_route_leads_to_its_server(start_demo, sink):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}")
    mark = token()
    number = send(demo, ["joe@far.test", "jim@far.test"], mark, "one\r\n..two\r\n.\r\n")
    m = sink.wait(1)[0]
    assert m.sender == demo.USER1 and sorted(m.rcpts) == ["jim@far.test", "joe@far.test"]
    assert m.helo == "mail.example.test"
    head, body = m.data.split(b"\r\n\r\n", 1)
    assert body == b"one\r\n..two\r\n.\r\n"
    assert mark.encode() in head and head.startswith(b"Received: ")
    for rcpt in m.rcpts:
        line = demo.wait_log(f"courier.delivery .*id={number} .*to={rcpt} ")
        assert f"relay=127.0.0.1[127.0.0.1]:{sink.port}" in line.replace('"', "")
        assert "status=sent" in line and "dsn=2.0.0" in line and "code=250" in line


def test_several_messages_share_a_connection(start_demo, sink):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}",
                      "outbound.per-destination=1")
    with submit(demo) as s:
        for i in range(20):
            assert s.message(demo.USER1, "joe@far.test", text(f"n{i}"))[0] == 250
    sink.wait(20)
    assert sink.connections <= 3


def test_a_large_message_arrives_byte_for_byte(start_demo, sink):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}")
    mark = token()
    body = "".join(f"{i:08d} {'x' * 90}\r\n" for i in range(30000))
    send(demo, "joe@far.test", mark, body)
    m = sink.wait(1, 40)[0]
    assert m.data.split(b"\r\n\r\n", 1)[1] == body.encode()


def test_a_refused_recipient_gives_a_report_and_the_others_get_their_mail(start_demo, sink):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}")
    sink.rcpt["bad@far.test"] = ["550 5.1.1 <bad@far.test>: nobody of that name"]
    mark = token()
    number = send(demo, ["bad@far.test", "joe@far.test"], mark)
    assert sink.wait(1)[0].rcpts == ["joe@far.test"]
    m, about = bounce(demo, mark)
    assert list(about) == ["bad@far.test"]
    assert about["bad@far.test"]["Action"] == "failed"
    assert about["bad@far.test"]["Status"] == "5.1.1"
    assert "nobody of that name" in about["bad@far.test"]["Diagnostic-Code"]
    assert m["To"] and demo.USER1 in m["To"] and m["Auto-Submitted"].startswith("auto-replied")
    returned = m.get_payload()[2]
    assert returned.get_content_type() == "message/rfc822"
    assert mark in returned.as_string() and "hello" in returned.as_string()
    assert "status=bounced" in demo.wait_log(f"courier.delivery .*id={number} .*to=bad@far.test ")


def test_what_is_refused_for_now_is_tried_again(start_demo, sink):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}", "queue.first-retry=1s")
    sink.rcpt["joe@far.test"] = ["450 4.2.0 not now", "451 4.3.0 still not", "250 2.1.5 ok"]
    mark = token()
    number = send(demo, "joe@far.test", mark)
    sink.wait(1, 30)
    lines = [line for line in demo.log_lines() if f"id={number}" in line and "courier.delivery" in line]
    assert [re.search(r"status=(\w+)", line)[1] for line in lines[:2]] == ["deferred", "deferred"]
    assert "attempt=3" in demo.wait_log(f"courier.delivery .*id={number} .*status=sent")
    assert len(sink.messages) == 1


def test_a_dead_server_is_tried_until_the_time_is_over(start_demo):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{port}", "queue.first-retry=1s",
                      "queue.expire=4s")
    mark = token()
    send(demo, "joe@far.test", mark)
    _, about = bounce(demo, mark, seconds=30)
    assert about["joe@far.test"]["Status"] == "5.4.7"
    assert "refused" in about["joe@far.test"]["Diagnostic-Code"]


@pytest.mark.parametrize("step", ["greeting", "ehlo", "mail", "rcpt", "data", "body"])
@pytest.mark.parametrize("how", ["CUT", "RESET"])
def test_a_server_that_vanishes_gets_the_message_in_the_end(start_demo, sink, step, how):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}", "queue.first-retry=1s")
    usual = {"greeting": "220 sink.test", "ehlo": "250 sink.test", "data": "354 go"}
    sink.say[step] = [how, usual.get(step, "250 ok")]
    send(demo, "joe@far.test", token())
    sink.wait(1, 30)
    time.sleep(0.3)
    assert len(sink.messages) == 1


def test_a_service_that_refuses_at_the_door_does_not_cost_the_message(start_demo, sink):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}", "queue.first-retry=1s")
    sink.say["greeting"] = ["554 5.7.1 not you", "421 4.3.2 busy", "220 sink.test"]
    send(demo, "joe@far.test", token())
    sink.wait(1, 30)


# ---- TLS ---------------------------------------------------------------------------------------


def test_mail_is_encrypted_where_the_server_can(start_demo, certificate):
    sink = Sink(tls=server_tls(certificate))
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}")
    send(demo, "joe@far.test", token())
    assert sink.wait(1)[0].tls
    sink.stop()


def test_a_broken_handshake_is_followed_by_one_try_in_clear(start_demo, sink):
    broken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) # has no certificate: no handshake succeeds
    sink.tls = broken
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}")
    send(demo, "joe@far.test", token())
    assert sink.wait(1)[0].tls is None
    demo.wait_log("courier.tls-failed")


def test_what_stands_before_tls_is_not_believed(start_demo, certificate):
    """T020: a DSN offer injected in clear is not used."""
    sink = Sink(tls=server_tls(certificate))
    sink.inject = b"250-sink.test\r\n250 DSN\r\n"
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}")
    send(demo, "joe@far.test", token())
    m = sink.wait(1)[0]
    assert not any("RET" in p for p in m.mail_params)
    sink.stop()


def test_required_tls_is_required(start_demo, sink, certificate):
    demo = start_demo(f"route.far.test=smtp+starttls://127.0.0.1:{sink.port}",
                      f"tls.ca-file={certificate[0]}", "queue.first-retry=1s", "queue.expire=3s")
    mark = token()
    send(demo, "joe@far.test", mark)
    _, about = bounce(demo, mark, seconds=30)
    assert "STARTTLS" in about["joe@far.test"]["Diagnostic-Code"]
    assert sink.messages == []


def test_a_certificate_that_does_not_verify_gets_no_mail(start_demo, certificate, tmp_path):
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-keyout", "/dev/null", "-out", str(other), "-subj",
                    "/CN=other"], check=True, capture_output=True)
    sink = Sink(tls=server_tls(certificate), wrapped=True)
    demo = start_demo(f"route.far.test=smtps://127.0.0.1:{sink.port}", f"tls.ca-file={other}",
                      "queue.first-retry=1s", "queue.expire=3s")
    mark = token()
    send(demo, "joe@far.test", mark)
    bounce(demo, mark, seconds=30)
    assert sink.messages == []
    sink.stop()


# ---- the smarthost -----------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_the_smarthost_takes_everything_with_a_login(start_demo, certificate, tmp_path, scheme):
    sink = Sink(tls=server_tls(certificate), wrapped=scheme == "smtps",
                login=("us@provider.test", "their secret"))
    secret = tmp_path / "password"
    secret.write_text("their secret\n")
    demo = start_demo(f"smarthost={scheme}://us%40provider.test@127.0.0.1:{sink.port}",
                      f"smarthost.password=file:{secret}", f"tls.ca-file={certificate[0]}")
    send(demo, ["joe@far.test", "jim@near.test"], token())
    got = sink.wait(2)
    assert {m.rcpts[0] for m in got} == {"joe@far.test", "jim@near.test"}
    assert all(m.tls and m.login == "us@provider.test" for m in got)
    assert "their secret" not in "\n".join(demo.log_lines())
    sink.stop()


def test_a_wrong_password_at_the_smarthost_gives_no_mail_back(start_demo, certificate, tmp_path):
    sink = Sink(tls=server_tls(certificate), wrapped=True, login=("us@provider.test", "right"))
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    demo = start_demo(f"smarthost=smtps://us%40provider.test@127.0.0.1:{sink.port}",
                      f"smarthost.password=file:{secret}", f"tls.ca-file={certificate[0]}",
                      "queue.first-retry=1s")
    mark = token()
    number = send(demo, "joe@far.test", mark)
    line = demo.wait_log(f"courier.delivery .*id={number} .*status=deferred")
    assert "535" in line
    assert not any(mark.encode() in m for m in demo.messages())
    sink.login = ("us@provider.test", "wrong") # the provider has seen reason
    sink.wait(1, 30)
    sink.stop()


# ---- MX ----------------------------------------------------------------------------------------


@pytest.fixture
def start_mx(start_demo, sink, dns):
    def start(*more):
        return start_demo(f"dns.server=127.0.0.1:{dns.port}", f"outbound.port={sink.port}",
                          "queue.first-retry=1s", *more)
    return start


def test_mx_records_lead_to_the_server(start_mx, sink, dns):
    dns.load("far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n")
    demo = start_mx()
    number = send(demo, "joe@far.test", token())
    sink.wait(1)
    assert "relay=mx.far.test[127.0.0.1]" in demo.wait_log(
        f"courier.delivery .*id={number} .*status=sent").replace('"', "")


def test_the_better_host_is_asked_first(start_mx, sink, dns):
    other = Sink("127.0.0.2", sink.port)
    dns.load("far.test MX 20 two.far.test\nfar.test MX 10 one.far.test\n"
             "one.far.test A 127.0.0.1\ntwo.far.test A 127.0.0.2\n")
    demo = start_mx()
    send(demo, "joe@far.test", token())
    sink.wait(1)
    assert other.connections == 0
    other.stop()


def test_the_second_host_stands_in(start_mx, sink, dns):
    dns.load("far.test MX 10 one.far.test\nfar.test MX 20 two.far.test\n"
             "one.far.test A 127.0.0.2\ntwo.far.test A 127.0.0.1\n")
    demo = start_mx()
    number = send(demo, "joe@far.test", token())
    sink.wait(1)
    assert "attempt=1" in demo.wait_log(f"courier.delivery .*id={number} .*status=sent")


def test_ipv4_stands_in_for_ipv6(start_mx, sink, dns):
    dns.load("far.test MX 10 mx.far.test\nmx.far.test AAAA ::1\nmx.far.test A 127.0.0.1\n")
    demo = start_mx()
    send(demo, "joe@far.test", token())
    sink.wait(1)


def test_a_domain_without_mx_is_its_own_host(start_mx, sink, dns):
    dns.load("far.test A 127.0.0.1\n")
    demo = start_mx()
    send(demo, "joe@far.test", token())
    sink.wait(1)


def test_a_null_mx_gives_the_mail_back(start_mx, sink, dns):
    dns.load("far.test MX 0 .\nfar.test A 127.0.0.1\n")
    demo = start_mx()
    mark = token()
    send(demo, "joe@far.test", mark)
    _, about = bounce(demo, mark)
    assert about["joe@far.test"]["Status"] == "5.1.10"
    assert sink.connections == 0


def test_a_domain_that_does_not_exist_gives_the_mail_back(start_mx, sink, dns):
    demo = start_mx()
    mark = token()
    send(demo, "joe@nowhere.test", mark)
    _, about = bounce(demo, mark)
    assert about["joe@nowhere.test"]["Status"] == "5.1.2"
    assert "does not exist" in about["joe@nowhere.test"]["Diagnostic-Code"]


@pytest.mark.parametrize("zone", [
    "far.test SERVFAIL\n",
    "far.test MX 10 mx.far.test\nmx.far.test SERVFAIL\n",
    "far.test RAW ff\n",
])
def test_trouble_with_dns_is_no_reason_to_give_mail_back(start_mx, sink, dns, zone):
    """T142, T143"""
    dns.load(zone)
    demo = start_mx()
    mark = token()
    number = send(demo, "joe@far.test", mark)
    line = demo.wait_log(f"courier.delivery .*id={number} .*status=deferred", 30)
    assert "dsn=4.4.3" in line
    assert not any(mark.encode() in m for m in demo.messages())
    dns.load("far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n")
    sink.wait(1, 60)


def test_mx_records_do_not_lead_out_of_the_demo(start_mx, sink, dns):
    dns.load("far.test MX 10 mx.far.test\nmx.far.test A 192.0.2.1\n")
    demo = start_mx()
    mark = token()
    send(demo, "joe@far.test", mark)
    _, about = bounce(demo, mark)
    assert "loopback" in about["joe@far.test"]["Diagnostic-Code"]


def test_without_a_name_server_no_foreign_name_exists(demo):
    mark = token()
    send(demo, "joe@far.test", mark)
    _, about = bounce(demo, mark)
    assert about["joe@far.test"]["Status"] == "5.1.2"


# ---- what a kill leaves behind -------------------------------------------------------------------


def kill_role(demo, name):
    os.kill(next(pid for pid, role in demo.roles().items() if role == name), signal.SIGKILL)


# With PostgreSQL what a store had leased when it was killed waits for a minute: test/crash/nodes.py.
@pytest.mark.parametrize("role", ["courier", pytest.param("store", marks=pytest.mark.embedded), "dns", "vault"])
def test_a_killed_role_loses_nothing(start_demo, sink, role):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}", "queue.first-retry=1s",
                      "outbound.per-destination=2")
    demo.expect(".") # a kill is loud
    sink.say["body"] = ["DELAY 0.02 250 2.0.0 taken"]
    marks = [token() for _ in range(60)]
    with submit(demo) as s:
        for m in marks[:30]:
            assert s.message(demo.USER1, "joe@far.test", text(m))[0] == 250
    kill_role(demo, role)
    for m in marks[30:]:
        deadline = time.monotonic() + 30
        while True: # the vault or the store may be away for a moment
            try:
                send(demo, "joe@far.test", m)
                break
            except (AssertionError, OSError):
                assert time.monotonic() < deadline
                time.sleep(0.2)
    deadline = time.monotonic() + 60
    missing = set(marks)
    while missing and time.monotonic() < deadline:
        time.sleep(0.1)
        for m in list(sink.messages):
            missing.discard(email.message_from_bytes(m.data)["Subject"])
    assert not missing
    twice = len(sink.messages) - len(marks)
    # Only what was on the wire when the courier died may come twice (T103).
    assert twice <= (4 if role == "courier" else 0)


def test_a_report_is_made_once_though_the_courier_dies(start_demo, sink):
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}", "queue.first-retry=1s")
    demo.expect(".")
    sink.say["rcpt"] = ["550 5.1.1 nobody"]
    marks = [token() for _ in range(10)]
    for m in marks:
        send(demo, "joe@far.test", m)
    kill_role(demo, "courier")
    for m in marks:
        bounce(demo, m, seconds=30)
    all_of_them = demo.messages()
    assert all(sum(m.encode() in one for one in all_of_them) == 1 for m in marks)


# ---- Postfix -------------------------------------------------------------------------------------


class SaslServer:
    """The least of Dovecot's authentication protocol, for Postfix to ask: one name and password."""

    def __init__(self, user, password):
        self.right = f"\0{user}\0{password}".encode()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        c.sendall(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t" + b"0" * 32 +
                  b"\nDONE\n")
        for line in c.makefile("rb"):
            words = line.decode().rstrip("\n").split("\t")
            if words[0] != "AUTH":
                continue
            given = next((w[5:] for w in words if w.startswith("resp=")), "")
            parts = base64.b64decode(given).split(b"\0")
            ok = b"\0" + b"\0".join(parts[1:]) == self.right
            c.sendall(f"{'OK' if ok else 'FAIL'}\t{words[1]}\tuser={parts[1].decode()}\n".encode())

    def stop(self):
        self.listener.close()


@pytest.fixture
def start_postfix(certificate):
    if postfix.missing():
        pytest.skip(postfix.missing())
    started = []

    def start(settings=""):
        started.append(postfix.Postfix(settings=settings, certificate=certificate))
        return started[-1]

    yield start
    for p in started:
        p.stop()


def test_postfix_takes_mail_as_an_mx(start_postfix, start_demo, dns):
    peer = start_postfix()
    dns.load("far.test MX 10 postfix.test\npostfix.test A 127.0.0.1\n")
    demo = start_demo(f"dns.server=127.0.0.1:{dns.port}", f"outbound.port={peer.port}")
    mark = token()
    send(demo, "joe@far.test", mark, "one\r\n..\r\n.two\r\n")
    got = peer.wait_mail(mark)
    assert got.endswith(b"\n\none\n..\n.two\n")
    assert b"using TLSv1.3" in got


def test_postfix_takes_mail_as_a_smarthost_with_a_login(start_postfix, start_demo, certificate,
                                                        tmp_path):
    sasl = SaslServer("us@provider.test", "their secret")
    peer = start_postfix("smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n"
                            f"smtpd_sasl_path = inet:127.0.0.1:{sasl.port}\n"
                            "smtpd_tls_auth_only = yes\nsmtpd_sasl_security_options = noanonymous\n"
                            "smtpd_sender_restrictions = permit_sasl_authenticated, reject\n")
    secret = tmp_path / "password"
    secret.write_text("their secret\n")
    for port, scheme in ((peer.port, "smtp+starttls"), (peer.tls_port, "smtps")):
        demo = start_demo(f"smarthost={scheme}://us%40provider.test@127.0.0.1:{port}",
                          f"smarthost.password=file:{secret}", f"tls.ca-file={certificate[0]}")
        mark = token()
        send(demo, "joe@far.test", mark)
        assert b"using TLSv1.3" in peer.wait_mail(mark)
    sasl.stop()


def test_postfix_sends_mail_to_us(start_postfix, demo):
    peer = start_postfix(f"relayhost = [127.0.0.1]:{demo.SMTP_PORT}\n")
    mark = token()
    with socket.create_connection(("127.0.0.1", peer.port)) as s:
        f = s.makefile("rb")
        f.readline()
        for line in (b"HELO x", b"MAIL FROM:<joe@far.test>", b"RCPT TO:<ann@example.test>", b"DATA"):
            s.sendall(line + b"\r\n")
            assert f.readline()[:1] in b"23"
        s.sendall(b"From: <joe@far.test>\r\nSubject: " + mark.encode() + b"\r\n\r\nhello\r\n.\r\nQUIT\r\n")
        assert f.readline().startswith(b"250")
    got = demo.wait_message(mark.encode(), seconds=30)
    assert b"with ESMTPS" in got


def test_postfix_refuses_and_we_report(start_postfix, start_demo):
    peer = start_postfix()
    demo = start_demo(f"route.other.test=smtp://127.0.0.1:{peer.port}")
    mark = token()
    send(demo, "joe@other.test", mark)
    _, about = bounce(demo, mark)
    assert about["joe@other.test"]["Status"] == "5.7.1"
    assert "Relay access denied" in about["joe@other.test"]["Diagnostic-Code"]
