"""Which address leads where, who may send as whom, and how much fits: the running program from outside."""
import imaplib
import json
import subprocess
import time
import uuid

import pytest

from conftest import PROGRAM, parse
from raw import Raw, submit

STRANGER = "ann@sender.example"


def command(demo, *args, stdin=None, want=0):
    r = subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", "--json", *args], input=stdin,
                       capture_output=True, text=True, timeout=30, check=False)
    assert r.returncode == want, (args, r.returncode, r.stdout, r.stderr)
    return json.loads(r.stdout) if r.stdout.startswith(("[", "{")) else r.stdout + r.stderr


def text(mark, sender=STRANGER, size=0):
    filler = ("x" * 70 + "\r\n") * (size // 72)
    return (f"From: <{sender}>\r\nTo: <you@example.test>\r\nSubject: {mark}\r\n"
            f"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\nMessage-ID: <{mark}@x.example>\r\n\r\n{mark}\r\n"
            f"{filler}").encode()


def deliver(demo, rcpts, mark=None, sender=STRANGER):
    mark = mark or uuid.uuid4().hex
    with Raw(demo) as s:
        s.hello()
        assert s.message(sender, rcpts, text(mark))[0] == 250
    return mark


def rcpt(demo, address, size=None, sender=STRANGER):
    """The reply to RCPT: code and enhanced status."""
    with Raw(demo) as s:
        s.hello()
        s.ok(f"MAIL FROM:<{sender}>" + (f" SIZE={size}" if size else ""))
        code, said = s.cmd(f"RCPT TO:<{address}>".encode())
        return code, said[0].split()[0]


@pytest.fixture
def place(start_demo):
    return start_demo()


# ---- where mail goes ---------------------------------------------------------------------------


def test_a_catch_all_a_tag_and_an_alias_are_told_apart(place):
    command(place, "alias", "set", "@example.test", place.USER2)
    command(place, "alias", "set", "info@example.test", place.USER1)
    user, domain = place.USER1.split("@")
    for address, who, steps in (
            (place.USER1.upper(), 1, [place.USER1]),
            (f"{user}+Shop@{domain}", 1, [f"{user}+Shop@{domain}"]),
            ("info@example.test", 1, [place.USER1, "info@example.test"]),
            ("whoever@example.test", 2, [place.USER2, "whoever@example.test"])):
        got = parse(place.wait_message(deliver(place, address).encode(), who))
        assert got.get_all("Delivered-To") == steps, address
    assert rcpt(place, "x@other.example") == (550, "5.7.1")
    command(place, "alias", "remove", "@example.test")
    assert rcpt(place, "whoever@example.test") == (550, "5.1.1")


def test_postmaster_and_abuse_answer_in_every_domain(place):
    command(place, "domain", "add", "second.test")
    for address in ("Postmaster", "postmaster@example.test", "abuse@second.test", "PostMaster@SECOND.test"):
        assert rcpt(place, address)[0] == 250, address


def test_one_mailbox_gets_one_copy(place):
    user, domain = place.USER1.split("@")
    command(place, "alias", "set", "info@example.test", place.USER1)
    command(place, "alias", "set", "all@example.test", place.USER1, place.USER2, "info@example.test")
    mark = deliver(place, [place.USER1, f"{user}+x@{domain}", "info@example.test", "all@example.test"])
    place.wait_message(mark.encode(), 2)
    for who in (1, 2):
        assert sum(mark.encode() in m for m in place.messages(who)) == 1


def test_both_spellings_of_an_international_domain(place):
    command(place, "alias", "set", "info@bücher.test", place.USER1)
    mark = deliver(place, "info@XN--BCHER-KVA.test")
    place.wait_message(mark.encode())
    assert {"alias": "info@xn--bcher-kva.test", "targets": place.USER1, "owner": ""} in command(place, "alias")


def test_T053_T098_circles_and_endless_lists_are_refused_in_words(place):
    command(place, "alias", "set", "a@example.test", "b@example.test")
    assert "circle" in command(place, "alias", "set", "b@example.test", "a@example.test", want=65)
    assert "circle" in command(place, "alias", "set", "c@example.test", "c@example.test", want=65)
    for i in range(11):
        command(place, "alias", "set", f"s{i}@example.test", f"s{i + 1}@example.test")
    command(place, "alias", "set", "s11@example.test", place.USER1)
    assert rcpt(place, "s0@example.test") == (550, "5.2.4")
    assert rcpt(place, "s5@example.test")[0] == 250


def test_a_disabled_account_takes_no_mail_and_no_login(place):
    command(place, "alias", "set", "one@example.test", place.USER2)
    command(place, "alias", "set", "both@example.test", place.USER1, place.USER2)
    command(place, "account", "disable", place.USER2)
    assert rcpt(place, place.USER2) == (550, "5.2.1")
    assert rcpt(place, "one@example.test") == (550, "5.2.1")
    place.wait_message(deliver(place, "both@example.test").encode())
    with pytest.raises(imaplib.IMAP4.error):
        place.imap(place.USER2, place.PASS2)
    command(place, "account", "enable", place.USER2)
    place.wait_message(deliver(place, place.USER2).encode(), 2)


# ---- T042: who may send as whom ----------------------------------------------------------------


def try_sender(demo, sender, header=None):
    """The reply to MAIL, or to the end of the message."""
    with submit(demo) as s:
        code, said = s.cmd(f"MAIL FROM:<{sender}>")
        if code != 250:
            return code
        s.ok(f"RCPT TO:<{demo.USER2}>")
        s.ok("DATA", 354)
        s.send(text(uuid.uuid4().hex, header or sender) + b".\r\n")
        return s.code()


def test_T042_the_sender_belongs_to_the_login(place):
    user, domain = place.USER1.split("@")
    command(place, "alias", "set", "mine@example.test", place.USER1)
    command(place, "alias", "set", "shared@example.test", place.USER1, place.USER2)
    mine = [place.USER1, place.USER1.upper(), f"{user}+x@{domain}", "mine@example.test", "Mine+y@example.test"]
    others = [place.USER2, "shared@example.test", "x@elsewhere.example", "nobody@example.test",
              f"{user}@elsewhere.example", f'"{place.USER1}"@example.test', f"{user}%{domain}@elsewhere.example"]
    for sender in mine:
        assert try_sender(place, sender) == 250, sender
        assert try_sender(place, place.USER1, sender) == 250, sender
    for sender in others:
        assert try_sender(place, sender) in (501, 550, 553), sender
        assert try_sender(place, place.USER1, sender) in (550, 554), sender


def test_an_identity_is_an_address_to_send_from(place):
    command(place, "alias", "set", "shared@example.test", place.USER1, place.USER2)
    for address in ("shared@example.test", "me@elsewhere.example"):
        assert try_sender(place, address) == 553
        command(place, "account", "identity", place.USER1, "add", address)
        assert try_sender(place, address) == 250
    assert [r["address"] for r in command(place, "account", "identity", place.USER1)] == [
        "me@elsewhere.example", "shared@example.test"]
    command(place, "account", "identity", place.USER1, "remove", "shared@example.test")
    assert try_sender(place, "shared@example.test") == 553


# ---- T040: no trick makes a relay --------------------------------------------------------------

TRICKS = [
    "x@elsewhere.example", "x%elsewhere.example@{d}", "x%elsewhere.example", "elsewhere.example!x@{d}",
    "elsewhere.example!x", "x@{d}@elsewhere.example", "x@elsewhere.example@{d}", '"x@elsewhere.example"@{d}',
    '"x@elsewhere.example"', '"x%elsewhere.example"@{d}', '"x"@elsewhere.example', "{u}%{d}@elsewhere.example",
    "@{d}:x@elsewhere.example", "@elsewhere.example,@{d}:x@elsewhere.example", "@{d},@{d}:x@elsewhere.example",
    "{d}!x@elsewhere.example", "x@elsewhere.example.", "x@[127.0.0.1]", "x@[192.0.2.1]", "x@[IPv6:::1]",
    "x@[IPv6:2001:db8::1]", "x@[IPv6:::ffff:127.0.0.1]", "x@[2130706433]", "x@127.0.0.1", "x@localhost", "x@[]",
    "x@ELSEWHERE.EXAMPLE", "x@sub.{d}", "x@{d}.elsewhere.example", "x@{d}x", "x@x{d}", "x@.{d}", "x@{d}..",
    "x@{d}%00", "x@{d}\\", "x@{d} x@elsewhere.example", "x,y@elsewhere.example", "x;@elsewhere.example", "@", "",
    "x@", "@{d}", "x", "{d}", "|/bin/sh", "/etc/passwd", '"|/bin/sh"@{d}', "x+y@elsewhere.example",
    "{u}\\@{d}@elsewhere.example", '{u}@{d}"@elsewhere.example', "<x@elsewhere.example>", "x@elsewhere.example>",
    "x@éxample.example", "x@xn--xample-9ua.example", "x@xn--", "x@elsewhere。example", "xx:yy@elsewhere.example",
    "mailto:x@elsewhere.example", "x@elsewhere.example#{d}", "x@elsewhere.example?{d}", "x@elsewhere.example:25",
    "(a)x@elsewhere.example", "x(a)@elsewhere.example", "x@(a)elsewhere.example", "a@b@c@{d}", "a@b:c@{d}"]


def test_T040_no_form_of_a_recipient_makes_a_relay(place):
    user, domain = place.USER1.split("@")
    assert len(TRICKS) >= 60
    for sender in (STRANGER, "", place.USER1):
        for trick in TRICKS:
            address = trick.replace("{u}", user).replace("{d}", domain)
            with Raw(place) as s:
                s.hello()
                s.ok(f"MAIL FROM:<{sender}>")
                code, said = s.cmd(f"RCPT TO:<{address}>".encode())
                assert 500 <= code <= 559, (address, code, said)
                assert s.cmd("DATA")[0] in (503, 554)
    # A source route to an address of ours is no more than that address (RFC 5321 3.3).
    assert rcpt(place, f"@elsewhere.example:{place.USER1}")[0] == 250
    assert not [q for q in queue(place) if "elsewhere" in q["recipient"]]


def queue(demo):
    r = command(demo, "queue")
    return r if isinstance(r, list) else []


def test_T040_the_catch_all_catches_no_other_domain(place):
    user, domain = place.USER1.split("@")
    command(place, "alias", "set", "@example.test", place.USER2)
    for trick in TRICKS:
        address = trick.replace("{u}", user).replace("{d}", domain)
        code, _ = rcpt(place, address)
        # What is ours by its domain stays here, whatever its local part looks like.
        assert code >= 500 or address.rsplit("@", 1)[-1].rstrip(".").lower() == domain, address
    deliver(place, "x%elsewhere.example@example.test")
    assert queue(place) == []


def test_T040_nobody_relays_by_being_a_bounce_or_a_proxy(place):
    with Raw(place) as s:
        s.hello()
        assert s.cmd(f"XCLIENT LOGIN={place.USER1} ADDR=127.0.0.1")[0] in (500, 502, 550)
        s.ok("MAIL FROM:<>")
        assert s.cmd("RCPT TO:<x@elsewhere.example>")[0] == 550
    with Raw(place) as s:
        s.hello()
        # AUTH= is believed from nobody (RFC 4954 5): the parameter changes no rights.
        code, _ = s.cmd(f"MAIL FROM:<{place.USER1}> AUTH={place.USER1}")
        if code == 250:
            assert s.cmd("RCPT TO:<x@elsewhere.example>")[0] == 550
        else:
            assert code in (503, 555)


# ---- quotas ------------------------------------------------------------------------------------


def account(demo, login):
    return next(a for a in command(demo, "account", "list") if a["login"] == login)


def test_a_full_mailbox_is_452_and_room_helps(place):
    command(place, "account", "quota", place.USER1, "64KB", "100")
    row = account(place, place.USER1)
    assert row["quota"] == 65536 and row["quota messages"] == 100
    assert rcpt(place, place.USER1, 70000) == (452, "4.2.2")
    with Raw(place) as s:
        s.hello()
        for _ in range(3):
            assert s.message(STRANGER, place.USER1, text(uuid.uuid4().hex, size=20000))[0] == 250
        # The size that was not declared is known at the end of the message.
        code, said = s.message(STRANGER, place.USER1, text(uuid.uuid4().hex, size=20000))
        assert (code, said[0].split()[0]) == (452, "4.2.2")
        s.ok("MAIL FROM:<x@sender.example> SIZE=20000")
        code, said = s.cmd(f"RCPT TO:<{place.USER1}>")
        assert (code, said[0].split()[0]) == (452, "4.2.2")
    assert 60000 < account(place, place.USER1)["size"] <= 65536
    place.empty()
    assert account(place, place.USER1)["size"] == 0
    deliver(place, place.USER1)


def test_full_for_too_long_is_552(start_demo):
    place = start_demo("quota.grace=0s")
    command(place, "account", "quota", place.USER1, "none", "1")
    deliver(place, place.USER1)
    assert rcpt(place, place.USER1) == (552, "5.2.2")
    command(place, "account", "quota", place.USER1, "none")
    assert rcpt(place, place.USER1)[0] == 250


def test_the_grace_begins_with_the_first_refusal(start_demo):
    place = start_demo("quota.grace=1s")
    command(place, "account", "quota", place.USER1, "none", "1")
    deliver(place, place.USER1)
    assert rcpt(place, place.USER1) == (452, "4.2.2")
    until = time.monotonic() + 15
    while (answer := rcpt(place, place.USER1)) == (452, "4.2.2"):
        assert time.monotonic() < until
    assert answer == (552, "5.2.2")
    place.empty()
    deliver(place, place.USER1)
    assert rcpt(place, place.USER1) == (452, "4.2.2")


def test_one_of_two_is_full_and_the_other_gets_it(place):
    command(place, "account", "quota", place.USER2, "10KB")
    mark = uuid.uuid4().hex
    with submit(place) as s:
        assert s.message(place.USER1, [place.USER1, place.USER2], text(mark, place.USER1, 20000))[0] == 250
    place.wait_message(mark.encode(), 1)
    report = place.wait_message(b"multipart/report", 1)
    assert place.USER2.encode() in report and b"5.2.2" in report
    assert place.messages(2) == []


def test_imap_says_overquota(place):
    command(place, "account", "quota", place.USER1, "25KB", "3")
    box = place.imap()
    try:
        body = text("x", size=10000)
        assert box.append("INBOX", None, None, body)[0] == "OK"
        assert box.append("Archive", None, None, body)[0] == "OK"
        code, said = box.append("INBOX", None, None, body)
        assert code == "NO" and b"[OVERQUOTA]" in said[0]
        box.select("INBOX")
        code, said = box.copy("1", "Trash")
        assert code == "NO" and b"[OVERQUOTA]" in said[0]
        assert box.uid("MOVE", "1", "Trash")[0] == "OK"
        box.select("Trash")
        box.store("1", "+FLAGS", "\\Deleted")
        box.expunge()
        assert box.append("INBOX", None, None, body)[0] == "OK"
        assert account(place, place.USER1)["messages"] == 2
    finally:
        box.logout()


def test_for_programs_what_has_no_limit_is_null(place):
    command(place, "account", "quota", "ann@example.test", "1MB")
    rows = {r["login"]: r for r in command(place, "account", "list")}
    ann, bob = rows["ann@example.test"], rows["bob@example.test"]
    assert [ann["quota"], ann["quota messages"], ann["caps"], bob["quota"]] == [1 << 20, None, None, None]
    assert {r["domain"]: r["quota"] for r in command(place, "domain", "list")}["example.test"] is None


def test_a_domain_has_a_quota_too(place):
    command(place, "domain", "quota", "example.test", "none", "2")
    deliver(place, place.USER1)
    deliver(place, place.USER2)
    assert rcpt(place, place.USER1) == (452, "4.2.2")
    row = next(d for d in command(place, "domain") if d["domain"] == "example.test")
    assert row["messages"] == "2" or row["messages"] == 2
    place.empty(2)
    deliver(place, place.USER1)
    assert rcpt(place, place.USER2) == (452, "4.2.2")
    command(place, "domain", "quota", "example.test", "none")
    deliver(place, place.USER2)


# ---- files of addresses ------------------------------------------------------------------------


def put(path, content):
    """As an editor does it: another file takes the name."""
    path.with_suffix(".new").write_text(content)
    path.with_suffix(".new").chmod(0o644)
    path.with_suffix(".new").rename(path)


def until_rcpt(demo, address, want, seconds=15):
    end = time.monotonic() + seconds
    while (answer := rcpt(demo, address)) != want and answer[0] != want:
        assert time.monotonic() < end, (address, answer)
        time.sleep(0.1)


def test_addresses_from_files(start_demo, tmp_path):
    aliases, virtual = tmp_path / "aliases", tmp_path / "virtual"
    put(aliases, "# the usual\nroot: ann\nhelp: root,\n   bob@example.test\nbob: ann\n")
    put(virtual, "info@example.test  ann@example.test\n@second.test  bob@example.test\n")
    place = start_demo(f"map.aliases={aliases}", f"map.virtual={virtual}")
    command(place, "domain", "add", "second.test")
    for address, who in (("root@example.test", 1), ("Root+x@example.test", 1), ("info@example.test", 1),
                         ("whoever@second.test", 2)):
        place.wait_message(deliver(place, address).encode(), who)
    # Accounts come first, whatever a file says.
    place.wait_message(deliver(place, place.USER2).encode(), 2)
    mark = deliver(place, "help@example.test")
    for who in (1, 2):
        place.wait_message(mark.encode(), who)
    assert rcpt(place, "nobody@example.test") == (550, "5.1.1")
    # A change is seen, in whichever way it was made.
    put(aliases, "new: ann\n")
    until_rcpt(place, "new@example.test", 250)
    assert rcpt(place, "help@example.test") == (550, "5.1.1")
    with aliases.open("a") as f:
        f.write("newer: ann\n")
    until_rcpt(place, "newer@example.test", 250)


@pytest.mark.parametrize("bad, words", [
    ("x: |/bin/sh\n", "line 2: .*programs"), ("x: /var/mail/x\n", "line 2: .*files"),
    ("x: :include:/etc/passwd\n", "line 2: .*include"), ("nonsense\n", "line 2: .*expected")])
def test_T053_a_wrong_line_leaves_the_old_map(start_demo, tmp_path, bad, words):
    aliases = tmp_path / "aliases"
    put(aliases, "good: ann\n")
    place = start_demo(f"map.aliases={aliases}")
    place.expect("store.map")
    put(aliases, "better: ann\n" + bad)
    place.wait_log(f"warn store.map .*{words}")
    assert rcpt(place, "good@example.test")[0] == 250
    assert rcpt(place, "better@example.test") == (550, "5.1.1")


def test_T053_a_file_that_cannot_be_trusted_refuses_nobody_for_good(start_demo, tmp_path):
    aliases, real = tmp_path / "aliases", tmp_path / "real"
    put(real, "good: ann\n")
    aliases.symlink_to(real)
    place = start_demo(f"map.aliases={aliases}")
    place.expect("master.map")
    assert rcpt(place, "good@example.test") == (451, "4.3.0")
    place.wait_message(deliver(place, place.USER1).encode())
    aliases.unlink()
    put(aliases, "good: ann\n")
    until_rcpt(place, "good@example.test", 250)
