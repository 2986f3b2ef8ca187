"""A store in PostgreSQL: what happens while the database is away, what a second machine needs, and that two
machines with one database are one mail system."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid

import pytest

import pgserver
from conftest import PROGRAM
from mailbox_client import Imap
from raw import Raw
from sink import Sink

pytestmark = pytest.mark.postgres

AWAY = (r"error (store\.|role\.(failed|ended) .*name=store)", r"role\.ended .*name=store", r"store\.node_dead")


@pytest.fixture
def server():
    """A server of this test's own, which it may stop."""
    s = pgserver.Server()
    yield s
    s.remove()


def command(demo, *words):
    return subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)


def with_password(demo, password, *words):
    r = subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", *words],
                       input=f"{password}\n{password}\n", capture_output=True, text=True, timeout=30, check=False)
    assert r.returncode == 0, r.stderr


def wait_for(what, seconds=20):
    until = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.02)
    return got


def mail(mark, sender="x@else.test"):
    return f"From: <{sender}>\r\nSubject: {mark}\r\n\r\n{mark}\r\n".encode()


def send(demo, mark, *rcpts):
    """From outside, to people here; the code of the answer to the final dot."""
    with Raw(demo) as c:
        c.hello()
        c.envelope("x@else.test", *rcpts)
        assert c.cmd("DATA")[0] == 354
        c.send(mail(mark) + b".\r\n")
        return c.code()


def submit(demo, mark, *rcpts):
    """From a user here, to anybody."""
    with Raw(demo, demo.SUBMISSIONS_PORT, tls=True) as c:
        c.hello()
        assert c.login(demo.USER1, demo.PASS1)[0] == 235
        c.envelope(demo.USER1, *rcpts)
        assert c.cmd("DATA")[0] == 354
        c.send(mail(mark, demo.USER1) + b".\r\n")
        return c.code()


def expect_away(demo):
    for pattern in AWAY:
        demo.expect(pattern)


# ---- the database is away ----------------------------------------------------------------------


def test_a_server_waits_for_its_database(server, start_demo):
    """T095, T164: said once in the log, and in a sentence by status; nobody has to start anything."""
    demo = start_demo("store=" + server.fresh())
    demo.stop()
    server.stop()
    expect_away(demo)
    demo.launch()
    demo.wait_log("role.failed .*name=store")
    status = wait_for(lambda: (r := command(demo, "status")).returncode == 69 and r.stdout)
    assert f"the database at 127.0.0.1:{server.port} does not answer" in status
    said = json.loads(command(demo, "--json", "status").stdout)
    assert "does not answer" in said["alarm"]
    # Several attempts later there is still one line.
    wait_for(lambda: restarts(demo) > 4)
    assert sum("role.failed" in line for line in demo.log_lines()) == 1
    server.start()
    demo.wait_ready()
    assert command(demo, "status").returncode == 0
    assert send(demo, "after", demo.USER1) == 250


def restarts(demo):
    rows = re.findall(r"^store +\d+ +\w+ +(\d+)", command(demo, "status").stdout, re.M)
    return int(rows[0]) if rows else 0


def test_sessions_outlive_a_database_that_comes_back(server, start_demo):
    """T183: whoever waits for an answer meanwhile gets it, and mail is there once."""
    demo = start_demo("store=" + server.fresh())
    expect_away(demo)
    mark = uuid.uuid4().hex
    with Raw(demo, timeout=40) as c, Imap(demo, timeout=40).login() as box:
        box.ok("SELECT INBOX")
        c.hello()
        c.envelope("x@else.test", demo.USER1)
        assert c.cmd("DATA")[0] == 354
        server.stop(signal.SIGQUIT)
        demo.wait_log("role.ended .*name=store")
        c.send(mail(mark) + b".\r\n")
        server.start()
        assert c.code() == 250
        assert any(re.match(rb"\* \d+ EXISTS", line) for line in box.ok("NOOP"))
        c.ok("QUIT", 221)
    assert sum(mark.encode() in m for m in demo.messages()) == 1


def test_who_cannot_commit_says_try_later(server, start_demo):
    """T179, T183: 451 and NO, never a promise, after the half minute that fronts wait."""
    demo = start_demo("store=" + server.fresh())
    expect_away(demo)
    demo.expect("smtp|imap|guard|courier")
    mark = uuid.uuid4().hex
    with Raw(demo, timeout=60) as c, Imap(demo, timeout=60).login() as box:
        box.ok("SELECT INBOX")
        c.hello()
        c.envelope("x@else.test", demo.USER1)
        assert c.cmd("DATA")[0] == 354
        server.stop(signal.SIGQUIT)
        demo.wait_log("role.ended .*name=store")
        c.send(mail(mark) + b".\r\n")
        tag = box.start("STATUS INBOX (MESSAGES)")
        code, text = c.reply()
        assert code == 451, text
        assert box.finish(tag)[0] == "NO"
        server.start()
        wait_for(lambda: command(demo, "status").returncode == 0)
        assert not [m for m in demo.messages() if mark.encode() in m]


def test_a_server_that_stops_without_a_word_is_as_good_as_gone(server, start_demo):
    """T183: no connection is closed, and nobody waits for ever; mail is there once, whatever the server makes
    of what it had been told before."""
    demo = start_demo("store=" + server.fresh())
    expect_away(demo)
    mark = uuid.uuid4().hex
    with Raw(demo, timeout=60) as c, Imap(demo, timeout=60).login() as box:
        box.ok("SELECT INBOX")
        c.hello()
        c.envelope("x@else.test", demo.USER1)
        assert c.cmd("DATA")[0] == 354
        server.freeze()
        c.send(mail(mark) + b".\r\n")
        demo.wait_log("role.ended .*name=store", 40)
        server.thaw()
        assert c.code() == 250
        assert any(re.match(rb"\* \d+ EXISTS", line) for line in box.ok("NOOP"))
    assert sum(mark.encode() in m for m in demo.messages()) == 1


@pytest.fixture
def small_disk(server):
    """A folder with 32 MiB of its own."""
    folder = pathlib.Path(server.folder, "small")
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(folder)], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_of_the_database_puts_mail_off_and_lets_it_be_read(small_disk, server, start_demo):
    """T179: 452, and everything by itself when there is room again."""
    (small_disk / "db").mkdir()
    demo = start_demo("store=" + server.fresh(str(small_disk / "db")))
    demo.expect("warn smtp|guard|error store.trace .*No space left")
    sent = [f"before {n}" for n in range(5) if send(demo, f"before {n}", demo.USER1) == 250]
    assert len(sent) == 5
    with open(small_disk / "filler", "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(bytes(4096))
    codes = [send_large(demo, f"full {n}", demo.USER1) for n in range(20)]
    assert 452 in codes and set(codes) <= {250, 452}, codes
    with Imap(demo).login() as box:
        box.ok("SELECT INBOX")
        assert any(b"before 0" in line for line in box.ok("FETCH 1 BODY.PEEK[]"))
    assert not restarts(demo)
    os.remove(small_disk / "filler")
    wait_for(lambda: send(demo, "after", demo.USER1) == 250)
    assert len(demo.messages()) == 5 + codes.count(250) + 1
    assert command(demo, "status").returncode == 0


def send_large(demo, mark, rcpt):
    """As send(), of 100 KiB; 0 when it is refused before its end."""
    with Raw(demo) as c:
        c.hello()
        assert c.cmd("MAIL FROM:<x@else.test>")[0] == 250
        code = c.cmd(f"RCPT TO:<{rcpt}>")[0]
        if code != 250:
            return code
        assert c.cmd("DATA")[0] == 354
        c.send(mail(mark) + os.urandom(50000).hex().encode().replace(b"00", b"\r\n") + b"\r\n.\r\n")
        return c.code()


def certificate(folder, name):
    """(a file with a certificate for 127.0.0.1 that signs itself, its text, its key's)"""
    made = [str(folder / (name + end)) for end in (".crt", ".key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=IP:127.0.0.1", "-out", made[0], "-keyout", made[1]],
                   check=True, capture_output=True)
    return (made[0], *(open(m).read() for m in made))


def test_the_database_may_be_reached_by_tls_only_and_must_prove_itself(server, start_demo, tmp_path):
    """T038: as shipped, in its sandbox; a server with another certificate gets nothing."""
    url = server.fresh()
    trusted, text, key = certificate(tmp_path, "right")
    server.require_tls(text, key)
    demo = start_demo(f"store={url}?sslmode=verify-full&sslrootcert={trusted}")
    assert send(demo, "through tls", demo.USER1) == 250
    assert len(demo.messages()) == 1
    count = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'eilpost'"
    assert int(server.sql(count + " AND ssl")) > 3
    assert server.sql(count + " AND NOT ssl") == "0"
    other, _, _ = certificate(tmp_path, "other")
    wary = start_demo(f"store={url}?sslmode=verify-full&sslrootcert={other}", wait=False)
    wary.expect("role.(failed|ended) .*name=store")
    assert "certificate verify failed" in wary.wait_log("role.failed .*name=store")
    wary.kill()


def test_status_says_how_large_the_database_is(server, start_demo):
    url = server.fresh()
    demo = start_demo("store=" + url)
    said = json.loads(command(demo, "--json", "status").stdout)
    assert said["free_bytes"] is None and said["log_bytes"] is None
    assert said["database_bytes"] > 1 << 20
    text = command(demo, "status").stdout
    assert re.search(r"^database +\d+\.\d MiB$", text, re.M), text
    assert "free disk space" not in text


def test_mail_that_only_one_machine_would_have_is_not_taken(server, start_demo):
    """T170: who asks for a standby gets no 250 without one; the rest goes on."""
    demo = start_demo("store=" + server.fresh(), "store.standby=on")
    demo.expect("smtp")
    with Raw(demo) as c:
        c.hello()
        assert c.cmd("MAIL FROM:<x@else.test>")[0] == 250
        code, text = c.cmd(f"RCPT TO:<{demo.USER1}>")
        assert code == 452 and text[0].startswith("4.3.1"), text
    with Imap(demo).login() as box:
        box.ok("SELECT INBOX")
    status = command(demo, "status")
    assert status.returncode == 69 and "no synchronous standby" in status.stdout + status.stderr


def test_the_password_of_the_database_is_nowhere_to_be_read(server, start_demo, tmp_path):
    """T038: not in process lists, the log, the settings, the status; a wrong one is told plainly."""
    word = "s3cret/" + uuid.uuid4().hex + "?&%"
    url = server.fresh()
    server.require_password(word)
    file = tmp_path / "password"
    file.write_text("wrong\n")
    demo = start_demo("store=" + url, "store.password=file:" + str(file), wait=False)
    demo.expect("role.(failed|ended) .*name=store")
    line = demo.wait_log("role.failed .*name=store")
    assert "lets nobody in" in line and "password" in line
    file.write_text(word + "\n")
    demo.wait_ready()
    assert send(demo, "with a password", demo.USER1) == 250
    seen = [command(demo, "config", "show").stdout, command(demo, "status").stdout, "\n".join(demo.log_lines())]
    for pid in [demo.process.pid, *demo.roles()]:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as f:
                seen.append(f.read().decode(errors="replace"))
    assert not [s for s in seen if word in s or word[:20] in s]
    refused = subprocess.run([PROGRAM, "demo", "--dir", str(tmp_path / "no"), "--set",
                              "store=postgres://eilpost:" + "hunter2" + "@127.0.0.1/mail"],
                             capture_output=True, text=True, timeout=20, check=False)
    assert refused.returncode == 78
    assert "without a password" in refused.stderr and "hunter2" not in refused.stderr


# ---- two machines ------------------------------------------------------------------------------


def second(start_demo, first, *settings):
    """Another machine with the same database. It has the sealing key of the first."""
    return start_demo(*settings, prepare=lambda folder: take_seal(first.dir, folder))


def take_seal(first, folder):
    os.makedirs(folder + "/data", mode=0o700)
    shutil.copy(first + "/data/seal", folder + "/data/seal")
    os.chmod(folder + "/data/seal", 0o600)
    shutil.copy(first + "/ca.pem", folder + "/ca.pem")


def test_another_sealing_key_is_refused(server, start_demo):
    """T167: with the sentence that says what to do."""
    url = server.fresh()
    start_demo("store=" + url)
    wrong = start_demo("store=" + url, wait=False)
    wrong.expect("role.(failed|ended)")
    assert wrong.process.wait(60) == 78
    text = "\n".join(wrong.log_lines())
    assert "the sealing key of this machine (data/seal) is not the one of the database" in text


def test_a_lost_sealing_key_costs_passwords_and_no_mail(server, start_demo):
    """As the manual says."""
    url = server.fresh()
    demo = start_demo("store=" + url)
    assert send(demo, "before", demo.USER1) == 250
    demo.stop()
    os.remove(demo.dir + "/data/seal")
    os.remove(demo.CAFILE)  # the demo's own certificate is made anew
    server.sql("DELETE FROM secret", url.rpartition("/")[2].partition("?")[0])
    demo.start()
    with_password(demo, demo.PASS1, "account", "password", demo.USER1)
    assert submit(demo, "after", demo.USER1) == 250
    wait_for(lambda: len(demo.messages()) == 2)
    demo.stop()
    demo.start()


def test_of_two_new_machines_with_keys_of_their_own_one_is_refused(server, start_demo):
    """T167: whoever was first has made the database its own; the other has left nothing there."""
    url = server.fresh()
    two = [start_demo("store=" + url, wait=False) for _ in range(2)]
    for d in two:
        d.expect("role.(failed|ended)")
    loser = wait_for(lambda: [d for d in two if d.process.poll() is not None], 60)[0]
    winner = two[1 - two.index(loser)]
    assert loser.process.wait() == 78
    assert "the sealing key of this machine (data/seal) is not the one of the database" in "\n".join(loser.log_lines())
    winner.wait_ready()
    assert send(winner, "first", winner.USER1) == 250
    assert len(winner.messages()) == 1
    said = json.loads(command(winner, "--json", "status").stdout)
    assert (said["accounts"], said["domains"], said["emails"]) == (2, 1, 1)
    winner.stop()
    winner.start()
    assert len(winner.messages()) == 1


@pytest.fixture
def pair(server, start_demo):
    """Two machines, one database; mail for far.test goes to a sink."""
    with Sink() as sink:
        settings = ("store=" + server.fresh(), f"route.far.test=smtp://127.0.0.1:{sink.port}")
        a = start_demo(*settings)
        b = second(start_demo, a, *settings)
        yield a, b, sink


def test_an_account_made_on_one_machine_logs_in_on_the_other(pair):
    a, b, _ = pair
    with_password(a, "eve-flies-4-kites", "account", "add", "eve@example.test")
    assert send(a, "for eve", "eve@example.test") == 250
    box = b.imap("eve@example.test", "eve-flies-4-kites")
    assert box.select("INBOX")[1] == [b"1"]
    box.logout()


def test_idle_on_one_machine_sees_mail_that_came_on_the_other(pair):
    a, b, _ = pair
    with Imap(b).login() as c:
        c.ok("SELECT INBOX")
        tag = c.start("IDLE")
        assert c.line().startswith(b"+ ")
        for n in range(1, 4):
            assert send(a, f"news {n}", b.USER1) == 250
            began = time.monotonic()
            c.sock.settimeout(5)
            while not (line := c.line()).endswith(b"EXISTS"):
                pass
            assert line == b"* %d EXISTS" % n
            assert time.monotonic() - began < 5  # a second is the aim; the machine may be busy
        c.send(b"DONE\r\n")
        assert c.finish(tag)[0] == "OK"


def test_flags_set_on_one_machine_are_seen_on_the_other(pair):
    a, b, _ = pair
    assert send(a, "to be read", a.USER1) == 250
    with Imap(a).login() as x, Imap(b).login() as y:
        x.ok("SELECT INBOX")
        y.ok("SELECT INBOX")
        x.ok("STORE 1 +FLAGS (\\Flagged)")
        wait_for(lambda: any(b"\\Flagged" in line for line in y.ok("NOOP")))
        y.ok("STORE 1 +FLAGS (\\Deleted)")
        y.ok("EXPUNGE")
        wait_for(lambda: b"* 1 EXPUNGE" in x.ok("NOOP"))


def test_two_couriers_take_from_one_queue_and_send_once(pair):
    """T173."""
    a, b, sink = pair
    marks = [uuid.uuid4().hex for _ in range(60)]
    for i, mark in enumerate(marks):
        assert submit((a, b)[i % 2], mark, f"u{i % 7}@far.test") == 250
    sink.wait(len(marks), 60)
    assert sorted(re.search(rb"Subject: (\w+)", m)[1].decode() for _, _, m in sink.taken) == sorted(marks)
    wait_for(lambda: json.loads(command(b, "--json", "status").stdout)["queued"] == 0)
    time.sleep(0.2)
    assert len(sink.taken) == len(marks)


def test_a_machine_that_was_stopped_and_goes_on_sends_nothing_twice(server, start_demo):
    """T173, T174: after a minute its leases are the other's, and when it wakes up it knows."""
    with Sink() as sink:
        settings = ("store=" + server.fresh(), f"route.far.test=smtp://127.0.0.1:{sink.port}")
        a = start_demo(*settings)
        sink.hold = go_on = threading.Event()
        assert submit(a, "once", "u@far.test") == 250
        wait_for(lambda: sink.connections)
        b = second(start_demo, a, *settings)
        for d in (a, b):
            expect_away(d)
        a.expect("courier")
        os.killpg(a.process.pid, signal.SIGSTOP)
        sink.hold = None
        sink.wait(1, 120)
        os.killpg(a.process.pid, signal.SIGCONT)
        go_on.set()
        a.wait_log("other machines have taken this one for dead")
        a.wait_log("role.ended .*name=store")
        wait_for(lambda: command(a, "status").returncode == 0)
        assert submit(a, "twice", "u@far.test") == 250
        sink.wait(2)
        assert sorted(re.search(rb"Subject: (\w+)", m)[1] for _, _, m in sink.taken) == [b"once", b"twice"]
        assert json.loads(command(b, "--json", "status").stdout)["queued"] == 0


def test_a_new_password_ends_sessions_on_the_other_machine(pair):
    """T037: and the old one is forgotten there."""
    a, b, _ = pair
    with Imap(b).login() as c:
        with_password(a, "ann-hums-5-tunes", "account", "password", a.USER1)
        assert c.line().startswith(b"* BYE")
    b.expect("auth-failed")
    with pytest.raises(Exception):
        b.imap()
    b.imap(password="ann-hums-5-tunes").logout()
