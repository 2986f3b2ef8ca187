"""Floods, harvesters and impatient talkers: what strangers may do, and what it costs them.

Strangers come through a balancer (PROXY protocol), so that they have addresses: loopback is nobody's
stranger. Known clients and the machine itself must never notice any of this."""
import os
import socket
import sys
import time
import uuid

import pytest

from raw import Raw

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools"))
from dnsd import Dns  # noqa: E402

BALANCER = "127.0.0.9"
PASS = (f"proxy.from={BALANCER}",)


def token():
    return uuid.uuid4().hex


def text(mark):
    return (f"From: <ann@sender.example>\r\nTo: <you@example.test>\r\nSubject: {mark}\r\n"
            f"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\n\r\nhello {mark}\r\n").encode()


class Stranger:
    """The instance as seen from an address."""

    def __init__(self, demo, address):
        self.demo, self.address = demo, address

    def __getattr__(self, name):
        return getattr(self.demo, name)

    def connect(self, port, timeout=15):
        s = socket.create_connection((self.demo.HOST, port), timeout, (BALANCER, 0))
        family = "TCP6" if ":" in self.address else "TCP4"
        here = "2001:db8:ffff::1" if ":" in self.address else "198.51.100.2"
        s.sendall(f"PROXY {family} {self.address} {here} 41234 25\r\n".encode())
        return s


def deliver(demo, address, *rcpts):
    mark = token()
    with Raw(Stranger(demo, address)) as s:
        s.hello()
        r = s.message("ann@sender.example", rcpts[0] if rcpts else demo.USER1, text(mark))
        s.cmd("QUIT")
    return r


# ---- the greeting ----------------------------------------------------------------------------


@pytest.fixture
def pausing(start_demo):
    """The pause is far longer than a test: who is made to wait for it is found out by its end."""
    return start_demo(*PASS, "smtp.greeting-pause=30s")


def test_who_talks_before_the_greeting_is_refused(pausing):
    s = Raw(Stranger(pausing, "203.0.113.5"))
    s.send(b"EHLO spam.example\r\nMAIL FROM:<a@spam.example>\r\n")
    code, said = s.reply()
    assert code == 554 and "before the greeting" in said[0]
    assert s.reply() is None
    line = pausing.wait_log("guard.early-talker")
    assert "rip=203.0.113.5" in line


def test_neither_this_machine_nor_a_user_waits_for_the_greeting(pausing):
    with Raw(pausing) as s:
        s.hello()
        assert s.message("ann@sender.example", pausing.USER1, text(token()))[0] == 250
    with Raw(Stranger(pausing, "203.0.113.6"), port=pausing.SUBMISSION_PORT) as s:
        s.hello()
        s.ok("STARTTLS", 220)
        s.start_tls()
        s.ok("EHLO client.test")
        assert s.login(pausing.USER1, pausing.PASS1)[0] == 235
    with Raw(Stranger(pausing, "203.0.113.6")) as s:  # so it is known on the other ports of its class
        s.send(b"EHLO x\r\n")
        assert s.code() == 554


def test_who_waits_is_greeted_and_known_from_then_on(start_demo):
    d = start_demo(*PASS, "smtp.greeting-pause=50ms")
    assert deliver(d, "203.0.113.7")[0] == 250
    s = Raw(Stranger(d, "203.0.113.7"))
    s.send(b"EHLO now.example\r\n")  # known: it may talk as it likes
    assert s.code() == 220 and s.code() == 250


# ---- rates and numbers -----------------------------------------------------------------------


def refusals(demo, addresses, port=None):
    """The replies instead of the greeting, one connection after the other."""
    said = []
    for address in addresses:
        with Raw(Stranger(demo, address), port=port) as s:
            code, words = s.reply()
            said.append((code, words[0]))
    return [words for code, words in said if code == 421]


def test_T084_a_flood_of_connections_is_refused_and_others_are_not(start_demo):
    d = start_demo(*PASS, "rate.connections=20")
    began = time.monotonic()
    no = refusals(d, ["203.0.113.9"] * 30)
    # Whoever takes long gets more: 20 come back in a minute.
    assert 10 - (time.monotonic() - began) / 3 <= len(no) <= 10 and no[0] == "4.7.0 you connect too often, try again later"
    more = len(refusals(d, [f"203.0.113.{n}" for n in range(10, 80)]))  # the network has 80
    assert 10 - (time.monotonic() - began) * 80 / 60 <= more <= 10
    assert refusals(d, ["192.0.2.1", "2001:db8::1"]) == []
    assert deliver(d, "192.0.2.2")[0] == 250
    lines = [line for line in d.log_lines() if "guard.refused" in line]
    assert "reason=address-rate" in lines[0] and "rip=203.0.113.9" in lines[0]
    assert len(lines) <= 13, "a flood must not fill the log (T095)"


def test_T084_one_network_cannot_hold_all_connections(start_demo):
    d = start_demo(*PASS, "connections.per-address=3", "connections.per-network=5")
    held = [Raw(Stranger(d, f"203.0.113.{n // 3}")) for n in range(5)]
    for s in held:
        assert s.code() == 220
    with Raw(Stranger(d, "203.0.113.0")) as s:
        assert s.reply() == (421, ["4.7.0 too many connections from your address, try again later"])
    with Raw(Stranger(d, "203.0.113.200")) as s:
        assert s.reply() == (421, ["4.7.0 too many connections from your network, try again later"])
    with Raw(Stranger(d, "192.0.2.1")) as s:
        s.hello()
    held.pop().sock.close()
    d.wait_log("guard.refused .*reason=network n=6 most=5")
    for _ in range(50):  # the server notices the end in its own time
        with Raw(Stranger(d, "203.0.113.201")) as s:
            if s.code() == 220:
                break
        time.sleep(0.02)
    else:
        pytest.fail("the place that became free is not given away")
    for s in held:
        s.sock.close()


def test_messages_and_recipients_beyond_the_rate_are_put_off(start_demo):
    d = start_demo(*PASS, "rate.messages=3", "rate.recipients=5")
    with Raw(Stranger(d, "203.0.113.11")) as s:
        s.hello()
        for _ in range(3):
            assert s.message("ann@sender.example", d.USER1, text(token()))[0] == 250
        assert s.cmd("MAIL FROM:<ann@sender.example>") == \
            (451, ["4.7.1 too many messages from your address, try again later"])
    with Raw(Stranger(d, "192.0.2.11")) as s:
        s.hello()
        s.ok("MAIL FROM:<ann@sender.example>")
        codes = [s.cmd(f"RCPT TO:<{d.USER1}>")[0] for _ in range(6)]
        assert codes == [250] * 5 + [451]
    assert "n=" in d.wait_log("guard.rate .*rip=203.0.113.11 reason=messages")


def test_an_account_sends_so_much_in_an_hour(start_demo):
    d = start_demo("rate.account-recipients=2")
    got = []
    for _ in range(2):  # in two sessions: it is the account that counts
        with Raw(d, port=d.SUBMISSIONS_PORT, tls=True) as s:
            s.hello()
            assert s.login(d.USER1, d.PASS1)[0] == 235
            s.ok(f"MAIL FROM:<{d.USER1}>")
            got += [s.cmd(f"RCPT TO:<{d.USER2}>") for _ in range(2)]
    assert [code for code, _ in got] == [250, 250, 451, 451]
    assert got[2][1] == ["4.7.1 too many recipients from your account, try again later"]


# ---- errors and budgets ----------------------------------------------------------------------


def test_T091_a_harvester_gets_twenty_names_and_waits_for_them(start_demo):
    d = start_demo(*PASS, "smtp.tarpit=50ms")
    with Raw(Stranger(d, "203.0.113.12")) as s:
        s.hello()
        s.ok("MAIL FROM:<ann@sender.example>")
        s.send(b"".join(b"RCPT TO:<name%d@example.test>\r\n" % n for n in range(1000)))
        codes = []
        while (r := s.reply()) is not None:
            codes.append(r)
    assert [c for c, _ in codes[:-1]] == [550] * 21
    assert codes[-1] == (421, ["4.7.0 too many errors"])
    assert "n=6 " in d.wait_log("guard.tarpit .*rip=203.0.113.12")
    d.wait_log("guard.budget .*what=errors used=21 most=20")


def test_a_few_errors_cost_nothing_and_users_have_more_of_them(start_demo):
    d = start_demo(*PASS, "smtp.tarpit=30s")
    began = time.monotonic()
    with Raw(Stranger(d, "203.0.113.13")) as s:
        s.hello()
        s.ok("MAIL FROM:<ann@sender.example>")
        for n in range(5):
            assert s.cmd(f"RCPT TO:<name{n}@example.test>")[0] == 550
    with Raw(Stranger(d, "203.0.113.13"), port=d.SUBMISSIONS_PORT, tls=True) as s:
        s.hello()
        assert s.login(d.USER1, d.PASS1)[0] == 235
        for n in range(40):
            assert s.cmd("WHAT")[0] == 500
    assert time.monotonic() - began < 15
    assert not [line for line in d.log_lines() if "guard.tarpit" in line]


def test_T026_unfinished_handshakes_of_one_network_do_not_keep_others_out(start_demo):
    d = start_demo(*PASS, "tls.handshakes=8")  # so a network has two
    silent = [Stranger(d, f"203.0.113.{n}").connect(d.SUBMISSIONS_PORT) for n in range(2)]
    deadline = time.monotonic() + 10
    while True:  # until both are counted
        with Stranger(d, "203.0.113.77").connect(d.SUBMISSIONS_PORT) as s:
            s.settimeout(0.3)
            try:
                if s.recv(1) == b"":
                    break
            except TimeoutError:
                pass
        assert time.monotonic() < deadline
    d.wait_log("tls.failed .*rip=203.0.113.77 .*2 unfinished handshakes of this network")
    with Raw(Stranger(d, "192.0.2.5"), port=d.SUBMISSIONS_PORT, tls=True) as s:
        s.hello()
    for s in silent:
        s.close()


# ---- lists in the DNS ------------------------------------------------------------------------

SOUND = "2.0.0.127.bl.test A 127.0.0.2\n"
LISTED = SOUND + "9.113.0.203.bl.test A 127.0.0.4\n10.113.0.203.bl.test A 127.0.0.20\n" \
    "11.113.0.203.bl.test A 127.255.255.254\n"
ALLOWED = "2.0.0.127.wl.test A 127.0.0.2\n9.113.0.203.wl.test A 127.0.5.3\n"


@pytest.fixture
def dns():
    d = Dns()
    yield d
    d.stop()


@pytest.fixture
def listing(start_demo, dns):
    def start(zone, *settings, sound=True):
        dns.load(zone)
        d = start_demo(*PASS, f"dns.server=127.0.0.1:{dns.port}", *settings)
        d.expect("^warn guard.list-off ")
        d.wait_log("guard.list-o(n|ff) .*zone=bl.test" if sound is None else
                   "guard.list-on .*zone=bl.test" if sound else "guard.list-off .*zone=bl.test")
        return d
    return start


def try_rcpt(demo, address, *rcpts):
    with Raw(Stranger(demo, address)) as s:
        s.hello()
        s.ok("MAIL FROM:<ann@sender.example>")
        return [s.cmd(f"RCPT TO:<{r}>") for r in rcpts or (demo.USER1,)]


def test_a_listed_address_is_refused_in_the_name_of_the_list(listing, dns):
    d = listing(LISTED, "dnsbl=bl.test=127.0.0.2-11")
    no, postmaster, abuse, short = try_rcpt(d, "203.0.113.9", d.USER1, "postmaster@example.test",
                                            "abuse@example.test", "postmaster")
    assert no == (550, ["5.7.1 203.0.113.9 is listed at bl.test"])
    assert [postmaster[0], abuse[0], short[0]] == [250] * 3  # RFC 5321 4.5.1
    assert try_rcpt(d, "203.0.113.10")[0][0] == 250, "listed, but for what does not count"
    assert try_rcpt(d, "203.0.113.12")[0][0] == 250
    assert "zone=bl.test action=reject" in d.wait_log("guard.listed .*rip=203.0.113.9")
    for _ in range(3):
        assert try_rcpt(d, "203.0.113.9")[0][0] == 550
    assert dns.count("9.113.0.203.bl.test") == 1, "an answer is kept"


def test_T149_an_error_of_the_list_is_no_listing(listing, dns):
    d = listing(LISTED, "dnsbl=bl.test")
    assert try_rcpt(d, "203.0.113.11")[0][0] == 250
    assert dns.count("11.113.0.203.bl.test") == 1


@pytest.mark.parametrize("zone,reason", [
    ("x.bl.test A 127.0.0.2\n", "it does not list 127.0.0.2"),
    (LISTED + "1.0.0.127.bl.test A 127.0.0.2\n", "it lists 127.0.0.1"),
    ("2.0.0.127.bl.test A 192.0.2.80\n", "it answers with an error"),
    ("2.0.0.127.bl.test SERVFAIL\n", "it does not answer")])
def test_T149_a_list_that_fails_its_test_points_is_not_asked_until_it_recovers(listing, dns, zone, reason):
    d = listing(zone, "dnsbl=bl.test", sound=False)
    assert f'reason="{reason}"' in d.wait_log("guard.list-off")
    assert try_rcpt(d, "203.0.113.9")[0][0] == 250
    assert dns.count("9.113.0.203.bl.test") == 0
    dns.load(LISTED)
    d.wait_log("guard.list-on", 30)
    assert try_rcpt(d, "203.0.113.9")[0][0] == 550


def test_the_client_of_a_front_is_looked_up_and_not_the_front(listing):
    d = listing(LISTED, "dnsbl=bl.test=127.0.0.2-11", "xclient.from=203.0.113.12")
    with Raw(Stranger(d, "203.0.113.12")) as s:
        for client, code in (None, 250), ("203.0.113.9", 550), ("203.0.113.13", 250):
            if client:
                s.ok(f"XCLIENT ADDR={client}", 220)
            else:
                s.reply()
            s.ok("EHLO x.example")
            s.ok("MAIL FROM:<ann@sender.example>")
            assert s.cmd(f"RCPT TO:<{d.USER1}>")[0] == code, client
            s.ok("RSET")


def test_an_allow_list_overrules(listing):
    d = listing(LISTED + ALLOWED, "dnsbl=bl.test", "dnswl=wl.test=127.0.*.1-3")
    d.wait_log("guard.list-on .*zone=wl.test")
    assert try_rcpt(d, "203.0.113.9")[0][0] == 250
    d.wait_log("guard.listed .*rip=203.0.113.9 .*action=allow")


def test_defer_and_log_do_what_they_say(listing):
    d = listing(LISTED, "dnsbl=bl.test=127.0.0.2-11:defer bl.test:log")
    assert try_rcpt(d, "203.0.113.9")[0] == (451, ["4.7.1 203.0.113.9 is listed at bl.test"])
    assert try_rcpt(d, "203.0.113.10")[0][0] == 250
    d.wait_log("guard.listed .*rip=203.0.113.10 .*action=log")


def test_a_list_that_is_silent_holds_nobody_up_for_long(listing):
    d = listing(SOUND + "9.113.0.203.bl.test DROP\n", "dnsbl=bl.test")
    began = time.monotonic()
    assert try_rcpt(d, "203.0.113.9")[0][0] == 250
    assert time.monotonic() - began < 14
    assert try_rcpt(d, "203.0.113.12")[0][0] == 250


def test_T149_a_session_that_stays_does_not_fill_the_memory_of_answers(listing):
    d = listing(LISTED, "dnsbl=bl.test=127.0.0.2-11")
    with Raw(Stranger(d, "203.0.113.12")) as first: # the oldest answer is needed as long as it stays
        first.hello()
        for i in range(8300):
            with Stranger(d, f"10.{i // 250 + 1}.{i % 250}.1").connect(d.SMTP_PORT) as s:
                assert s.recv(3) == b"220"
        until = time.monotonic() + 8 # questions about all those may still be under way
        while try_rcpt(d, "203.0.113.9")[0][0] != 550:
            assert time.monotonic() < until


def test_many_connections_share_one_question(listing, dns):
    d = listing(LISTED + "9.113.0.203.bl.test DELAY 0.1\n", "dnsbl=bl.test")
    visitors = [Raw(Stranger(d, "203.0.113.9")) for _ in range(20)]
    for s in visitors:
        s.send(f"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<{d.USER1}>\r\nQUIT\r\n".encode())
    for s in visitors:
        assert [s.code() for _ in range(5)] == [220, 250, 250, 550, 221]
        s.sock.close()
    assert dns.count("9.113.0.203.bl.test") == 1


def test_users_and_this_machine_are_asked_for_nowhere(listing, dns):
    d = listing(LISTED, "dnsbl=bl.test")
    with Raw(Stranger(d, "203.0.113.9"), port=d.SUBMISSIONS_PORT, tls=True) as s:
        s.hello()
        assert s.login(d.USER1, d.PASS1)[0] == 235
        own = text(token()).replace(b"ann@sender.example", d.USER1.encode())
        assert s.message(d.USER1, d.USER2, own)[0] == 250
    with Raw(d) as s:
        s.hello()
        assert s.message("ann@sender.example", d.USER1, text(token()))[0] == 250
    assert dns.count("9.113.0.203.bl.test") == 0


# ---- greylisting -----------------------------------------------------------------------------


def test_a_stranger_comes_back_and_is_never_put_off_again(start_demo):
    d = start_demo(*PASS, "greylist=1s")
    first, complaint = try_rcpt(d, "203.0.113.20", d.USER1, "postmaster@example.test")
    assert first == (451, ["4.7.1 greylisted, try again in 1 seconds"]) and complaint[0] == 250
    assert try_rcpt(d, "203.0.113.20", "nobody@example.test")[0][0] == 550, "who is not here is said at once"
    for _ in range(100):  # the second is the server's to count
        if try_rcpt(d, "203.0.113.20")[0][0] == 250:
            break
        time.sleep(0.05)
    else:
        pytest.fail("it came back often enough")
    assert try_rcpt(d, "203.0.113.21", d.USER2)[0][0] == 250, "its network is trusted"
    assert try_rcpt(d, "192.0.2.20")[0][0] == 451
    d.wait_log("guard.greylist .*rip=192.0.2.20 .*wait=1")


def test_whoever_was_written_to_may_answer_at_once(start_demo, dns):
    d = start_demo(*PASS, "greylist=10m", f"dns.server=127.0.0.1:{dns.port}")
    own = text(token()).replace(b"ann@sender.example", d.USER1.encode())
    with Raw(d, port=d.SUBMISSIONS_PORT, tls=True) as s:
        s.hello()
        assert s.login(d.USER1, d.PASS1)[0] == 235
        assert s.message(d.USER1, "ann@sender.example", own)[0] == 250
    assert try_rcpt(d, "203.0.113.22")[0][0] == 250


def test_many_recipients_put_off_are_no_errors(start_demo):
    d = start_demo(*PASS, "greylist=10m", "smtp.tarpit=30s")
    codes = [code for code, _ in try_rcpt(d, "203.0.113.23", *[d.USER1] * 40)]
    assert codes == [451] * 40


def test_a_list_may_ask_for_greylisting(listing):
    d = listing(LISTED, "dnsbl=bl.test:greylist")
    assert try_rcpt(d, "203.0.113.9")[0] == (451, ["4.7.1 greylisted, try again in 300 seconds"])
    assert try_rcpt(d, "203.0.113.12")[0][0] == 250
