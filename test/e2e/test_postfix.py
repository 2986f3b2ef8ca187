"""Postfix hands mail over to us: as one server to another, and as a client of a smarthost."""
import smtplib
import uuid

import pytest

import postfix
from conftest import free_base

pytestmark = pytest.mark.skipif(postfix.missing() is not None, reason=str(postfix.missing()))


@pytest.fixture
def start_postfix():
    started = []

    def start(settings="", cafile=""):
        p = postfix.Postfix(free_base() + 2525, cafile, settings)
        started.append(p)
        return p

    yield start
    for p in started:
        print(p.log())  # shown when the test has failed
        p.stop()


def send(server, sender, rcpts, text):
    with smtplib.SMTP("127.0.0.1", server.port, timeout=30) as s:
        return s.sendmail(sender, rcpts, text)


def test_postfix_delivers_over_tls(demo, start_postfix):
    """Several recipients and messages on one connection, dots and long lines included."""
    p = start_postfix(f"relayhost = [localhost]:{demo.SMTP_PORT}\nsmtp_tls_security_level = verify\n"
                      "smtp_tls_verify_cert_match = hostname\n", demo.CAFILE)
    marks = [uuid.uuid4().hex for _ in range(5)]
    for m in marks:
        send(p, "ann@sender.example", [demo.USER1, demo.USER2],
             f"Subject: {m}\r\n\r\n.\r\n..\r\n{'x' * 900}\r\n".encode())
    for m in marks:
        for who in (1, 2):
            got = demo.wait_message(m.encode(), who)
            assert b"\r\n\r\n.\r\n..\r\n" + b"x" * 900 + b"\r\n" in got
            assert b"postfix.test" in got and b"with ESMTPS" in got.replace(b"\r\n\t", b" ")
    assert "Verified TLS connection" in p.log()


def test_postfix_reports_what_we_refuse(demo, start_postfix):
    """Our 550 becomes a report at its sender, who lives here."""
    p = start_postfix(f"relayhost = [127.0.0.1]:{demo.SMTP_PORT}\n")
    mark = uuid.uuid4().hex
    send(p, demo.USER1, ["nobody@example.test"], f"Subject: {mark}\r\n\r\nx\r\n".encode())
    report = demo.wait_message(mark.encode())
    assert b"5.1.1" in report and b"nobody@example.test" in report
    assert b"Return-Path: <>" in report


def test_postfix_uses_us_as_smarthost(demo, start_postfix):
    p = start_postfix(
        f"relayhost = [localhost]:{demo.SUBMISSION_PORT}\nsmtp_tls_security_level = encrypt\n"
        "smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n"
        f"smtp_sasl_password_maps = static:{demo.USER1}:{demo.PASS1}\n", demo.CAFILE)
    mark = uuid.uuid4().hex
    send(p, demo.USER1, [demo.USER2], f"From: <{demo.USER1}>\r\nSubject: {mark}\r\n\r\nx\r\n".encode())
    got = demo.wait_message(mark.encode(), 2)
    assert b"with ESMTPSA" in got.replace(b"\r\n\t", b" ")
