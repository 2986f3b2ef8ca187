"""The cases of test/hostile, each against the running program; at the end the books must balance."""
import contextlib
import os
import random
import re
import socket
import ssl
import struct
import sys

import pytest

from conftest import Demo, ROOT, SANITIZED

sys.path.insert(0, os.path.join(ROOT, "test", "hostile"))
import case  # noqa: E402
import chunking  # noqa: E402
import ends  # noqa: E402
import limits  # noqa: E402
import login  # noqa: E402
import model  # noqa: E402
import order  # noqa: E402
import params  # noqa: E402
import relay  # noqa: E402
import smuggling  # noqa: E402
import starttls  # noqa: E402
import texts  # noqa: E402

GROUPS = (smuggling, chunking, starttls, relay, login, order, params, limits, ends, texts)
CASES = [c for group in GROUPS for c in group.CASES]


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    d = Demo(tmp_path_factory.mktemp("hostile") / "d")
    d.ledger = case.Ledger()
    yield d
    d.begin_test()
    d.stop()
    assert not d.surprises(), "while ending:\n" + "\n".join(d.surprises())


@pytest.fixture
def demo(target):
    """The one instance that all cases attack."""
    if target.process.poll() is not None:
        pytest.fail("the demo is dead since an earlier case")
    target.begin_test()
    yield target
    target.end_test()


@pytest.mark.parametrize("one", CASES, ids=[c.name for c in CASES])
def test_case(demo, one):
    try:
        case.play(one, demo, demo.ledger)
    except case.Failed as e:
        failure = str(e)
    else:
        return
    pytest.fail(failure, pytrace=False)


SEEDS = [int(s) for s in os.environ.get("HOSTILE_SEED", "").split()] or [4, random.randrange(1 << 32), random.randrange(1 << 32)]


@pytest.mark.parametrize("seed", SEEDS)
def test_T004_a_random_walk_finds_what_the_model_says(demo, seed):
    print(f"HOSTILE_SEED={seed}")
    model.walk(demo, seed, demo.ledger)


# ---- memory, floods and those who do not move ----------------------------------------------------------


def status(demo, role, field="VmRSS"):
    """Bytes, of that process of the demo."""
    pid = next(pid for pid, name in demo.roles().items() if name == role)
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(field + r":\s+(\d+)", f.read())[1]) * 1024


def pour(s, piece, most):
    """Send as much as is taken, at most this; the bytes sent, and whether the end has come."""
    sent = 0
    try:
        while sent < most:
            s.sock.sendall(piece)
            sent += len(piece)
    except (OSError, ssl.SSLError):
        return sent, True
    return sent, False


ENDLESS = [("mx", "fresh", b"A"), ("mx", "greeted", b"EHLO "), ("mx", "hello", b"MAIL FROM:<"), ("mx", "hello", b"NOOP "),
           ("mx", "mail", b"RCPT TO:<"), ("mx", "data", b"Subject: "), ("sub", "hello", b"AUTH PLAIN "), ("subs", "hello", b"AUTH PLAIN "),
           ("mx-tls", "data", b""), ("subs", "greeted", b"x")]


@pytest.mark.parametrize("service, state, begin", ENDLESS)
def test_T006_a_line_without_end_takes_no_memory(demo, service, state, begin):
    role = "mx" if service.startswith("mx") else "submit"
    before = status(demo, role)
    s = case.enter(demo, service, state)
    s.send(begin)
    sent, ended = pour(s, b"A" * 65536, 300 << 20 if state == "data" else 30 << 20)
    s.close()
    assert ended and (state == "data" or sent < 16 << 20), f"{sent} bytes were taken"
    assert SANITIZED or status(demo, role) - before < 4 << 20


def test_T006_an_answer_without_end(demo):
    s = case.enter(demo, "subs", "hello")
    s.step(b"AUTH LOGIN\r\n", "334")
    assert pour(s, b"A" * 65536, 30 << 20)[1]
    s.close()


def test_T083_who_does_not_read_is_not_read(start_demo):
    """Commands whose answers nobody takes: the server stops reading, keeps little, and leaves when it is idle."""
    demo = start_demo("smtp.idle=1s")
    before = status(demo, "mx")
    lines = [case.enter(demo, "mx", "hello", 30) for _ in range(20)]
    for s in lines:
        s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sock.settimeout(0.2)
        pour(s, b"HELP\r\n" * 10000, 8 << 20)
    assert SANITIZED or status(demo, "mx") - before < 20 * (256 << 10)
    for s in lines:
        s.sock.settimeout(30)
        s.ends()  # in time
        s.close()


STALLS = [("mx", "fresh", b""), ("mx", "greeted", b""), ("mx", "greeted", b"EHL"), ("mx", "hello", b""), ("mx", "hello", b"MAIL FROM:<"),
          ("mx", "mail", b""), ("mx", "rcpt", b""), ("mx", "rcpt", b"DATA\r"), ("mx", "data", b""), ("mx", "data", b"Subject: x\r\n\r\n."),
          ("mx", "data", b"Subject: x\r\n\r\n.\r"), ("mx-tls", "hello", b""), ("mx-tls", "data", b"x"), ("sub", "hello", b""),
          ("subs", "hello", b""), ("subs", "hello", b"AUTH LOGIN\r\n"), ("login", "hello", b""), ("login", "data", b"From: x")]


def test_T083_the_silent_are_left_in_every_state(start_demo):
    demo = start_demo("smtp.idle=2s")
    lines = [(case.enter(demo, service, state, 30), what) for service, state, what in STALLS]
    tls = [socket.create_connection((demo.HOST, demo.SUBMISSIONS_PORT), 60) for _ in range(5)]
    for s, what in lines:
        s.send(what)
    for i, (s, _) in enumerate(lines):
        try:
            s.last("421 4.4.2")
        except case.Failed as e:
            pytest.fail(f"{STALLS[i]}: {e}", pytrace=False)
        s.close()
    for t in tls:
        t.close()
    assert not demo.messages(1)


def test_T084_many_at_once_and_all_gone(demo):
    """Five hundred connections in all states, then all of them reset; the next client is served."""
    before = status(demo, "mx")
    lines = [case.enter(demo, "mx", ("fresh", "greeted", "hello", "mail", "rcpt", "data")[i % 6]) for i in range(500)]
    for s in lines:
        s.send(b"Subj")
        s.reset()
    case.play(case.C("after", "", "mx", "hello", case.whole() + case.BYE, arrives=[case.TEXT]), demo, demo.ledger)
    assert SANITIZED or status(demo, "mx") - before < 500 * (64 << 10)


def test_T084_connect_and_leave(demo):
    for _ in range(1000):
        socket.create_connection((demo.HOST, demo.SMTP_PORT), 15).close()
    case.play(case.C("after", "", "mx", "hello", case.whole() + case.BYE, arrives=[case.TEXT]), demo, demo.ledger)


NAMES = [b"", b"\0", b"a\0b", b"x" * 255, b"x" * 4000, b"localhost\\", b"../../etc/passwd", b"*", b"*.example.test", b"127.0.0.1", b"mail.example.test.",
         b"mail.example.test\0.evil.example", b"\xff\xfe", b"MAIL.EXAMPLE.TEST", b"xn--", b".", b"..", b"${run{id}}", b"%n%n"]


def hello_of_tls(name):
    """A ClientHello of TLS 1.2 that names this server, as it is."""
    sni = struct.pack("!HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    more = sni + bytes.fromhex("000d0006000404030804" "000a00060004001d0017" "000b00020100")
    body = b"\x03\x03" + b"r" * 32 + b"\0" + bytes.fromhex("0004c02bc02f" "0100") + struct.pack("!H", len(more)) + more
    shake = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(shake)) + shake


def test_T025_the_name_in_the_hello_is_nothing_but_a_name(demo):
    before = status(demo, "submit")
    for _ in range(20):
        for name in NAMES:
            with socket.create_connection((demo.HOST, demo.SUBMISSIONS_PORT), 15) as s:
                s.sendall(hello_of_tls(name))
                assert s.recv(5)[:1] in (b"\x16", b"\x15", b"")  # its hello, an alert, or nothing
    assert SANITIZED or status(demo, "submit") - before < 4 << 20
    case.play(case.C("after", "", "login", "hello", case.BYE), demo, demo.ledger)


def test_T045_garbage_on_the_control_socket_ends_that_connection_only(demo):
    rng = random.Random(45)
    demo.expect(r"warn ")
    for n in range(100):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(demo.dir + "/control")
            s.settimeout(10)
            with contextlib.suppress(OSError):
                s.sendall(rng.randbytes(rng.choice([0, 1, 11, 12, 13, 100, 70000])))
            if n % 2:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
    case.play(case.C("after", "", "mx", "hello", case.whole() + case.BYE, arrives=[case.TEXT]), demo, demo.ledger)


# ---- the books --------------------------------------------------------------------------------------------


def test_T011_the_log_is_printable_and_holds_no_password(demo):
    with open(demo.log_path, "rb") as f:
        log = f.read()
    bad = [line for line in log.split(b"\n") if re.search(rb"[\x00-\x1f\x7f]", line) or demo.PASS1.encode() in line]
    assert not bad
    log.decode("utf-8")


def test_T001_the_mailboxes_hold_what_was_accepted_and_nothing_else(demo):
    wrong = [w for who in (1, 2) for w in demo.ledger.compare(who, demo.messages(who))]
    assert not wrong, "\n".join(wrong[:20])


def test_T096_memory_is_back(demo):
    """Nothing is kept of thousands of sessions."""
    case.play(case.C("last", "", "mx", "hello", case.whole() + case.BYE), demo, case.Ledger())
    for role in ("mx", "submit"):
        assert SANITIZED or status(demo, role) < 48 << 20, role
