"""Exim and OpenSMTPD: they hand mail over to us as servers and as clients with a login, and take it."""
import smtplib
import uuid

import pytest

import peers
from conftest import free_base

PEERS = [pytest.param(kind, id=kind.__name__, marks=pytest.mark.skipif(
    peers.missing(program) is not None, reason=str(peers.missing(program))))
    for kind, program in ((peers.Exim, "exim4"), (peers.OpenSmtpd, "smtpd"))]


@pytest.fixture
def start_peer():
    started = []

    def start(kind, demo, port=0, login=None):
        p = kind(demo, port or free_base() + 2526, login)
        started.append(p)
        return p

    yield start
    for p in started:
        print(p.log())  # shown when the test has failed
        p.stop()


def hand_over(peer, sender, rcpts, text):
    with smtplib.SMTP("127.0.0.1", peer.port, timeout=30) as s:
        assert s.sendmail(sender, rcpts, text) == {}


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_delivers_to_port_25_over_tls(demo, start_peer, kind):
    """Dots, long lines and 8-bit text come through; both recipients get it."""
    p = start_peer(kind, demo)
    mark = uuid.uuid4().hex
    body = f".\r\n..\r\n{'x' * 900}\r\n.ä\r\n".encode()
    hand_over(p, "ann@sender.example", [demo.USER1, demo.USER2],
              f"Subject: {mark}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Content-Transfer-Encoding: 8bit\r\n\r\n".encode() + body)
    for who in (1, 2):
        got = demo.wait_message(mark.encode(), who)
        assert got.endswith(b"\r\n\r\n" + body)
        assert f"from {kind.domain}".encode() in got and b"with ESMTPS" in got.replace(b"\r\n\t", b" ")


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_reports_what_we_refuse(demo, start_peer, kind):
    p = start_peer(kind, demo)
    mark = uuid.uuid4().hex
    hand_over(p, demo.USER1, ["nobody@example.test"], f"Subject: {mark}\r\n\r\nx\r\n".encode())
    report = demo.wait_message(mark.encode())
    assert b"nobody@example.test" in report and b"550" in report
    assert report.startswith(b"Return-Path: <>")


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_uses_us_as_smarthost(demo, start_peer, kind):
    p = start_peer(kind, demo, login=demo.USER1)
    mark = uuid.uuid4().hex
    hand_over(p, demo.USER1, [demo.USER2],
              f"From: <{demo.USER1}>\r\nSubject: {mark}\r\n\r\nx\r\n".encode())
    assert b"with ESMTPSA" in demo.wait_message(mark.encode(), 2).replace(b"\r\n\t", b" ")


@pytest.mark.parametrize("kind", PEERS)
def test_we_deliver_to_a_peer(start_demo, start_peer, kind):
    """From a mail app through us to the peer, which sends it back to another mailbox of ours."""
    port = free_base() + 2526
    demo = start_demo(f"route.{kind.domain}=smtp://127.0.0.1:{port}")
    start_peer(kind, demo, port)
    mark = uuid.uuid4().hex
    body = b".\r\n..\r\n" + "grün\r\n".encode() * 20000
    with smtplib.SMTP(demo.TLS_NAME, demo.SUBMISSION_PORT, timeout=30) as s:
        s.starttls(context=demo.tls)
        s.login(demo.USER1, demo.PASS1)
        s.sendmail(demo.USER1, [f"box@{kind.domain}"],
                   f"From: <{demo.USER1}>\r\nSubject: {mark}\r\n\r\n".encode() + body,
                   mail_options=["BODY=8BITMIME"])
    got = demo.wait_message(mark.encode(), 2)
    assert got.endswith(b"\r\n\r\n" + body)
    assert f"by {kind.domain}".encode() in got
