"""Passwords, certificates and keys: what the vault does for people, and what it never gives away."""
import concurrent.futures
import glob
import imaplib
import os
import re
import signal
import smtplib
import socket
import ssl
import stat
import subprocess
import time

import pytest

from conftest import ON_POSTGRES, PROGRAM, free_base
from raw import Raw


def command(demo, *args, stdin=None, code=0):
    r = subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", *args], input=stdin,
                       capture_output=True, text=True, timeout=30)
    assert r.returncode == code, r.stdout + r.stderr
    return r.stdout + r.stderr


def try_login(demo, user, password, port=None):
    """The reply of one AUTH on its own connection."""
    with Raw(demo, port or demo.SUBMISSIONS_PORT, tls=True, timeout=60) as s:
        s.hello()
        return s.login(user, password)


def role_pid(demo, name):
    until = time.monotonic() + 20
    while time.monotonic() < until: # it may just be starting again
        for pid, role in demo.roles().items():
            if role == name:
                return pid
        time.sleep(0.05)
    raise AssertionError(f"no {name}")


def memory(pid):
    """Resident kilobytes, and the most there ever were."""
    with open(f"/proc/{pid}/status") as f:
        text = f.read()
    return tuple(int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) for name in ("VmRSS", "VmHWM"))


# ---- logging in ----------------------------------------------------------------------------------


def test_the_right_password_opens_every_door(demo):
    assert try_login(demo, demo.USER1, demo.PASS1)[0] == 235
    demo.imap().logout()
    with smtplib.SMTP(demo.TLS_NAME, demo.SUBMISSION_PORT) as s:
        s.starttls(context=demo.tls)
        s.login(demo.USER2, demo.PASS2)


def test_case_does_not_matter_in_the_name(demo):
    assert try_login(demo, demo.USER1.upper(), demo.PASS1)[0] == 235


@pytest.mark.parametrize("user, password", [
    ("ann@example.test", "wrong"), ("nobody@example.test", "ann-sings-2-moths"),
    ("bob@example.test", "ann-sings-2-moths"), ("ann@example.test' OR '1'='1", "x"), ("ann", "\n"),
    ("\u00e4nn@example.test", "x"), ("ann@example.test", "x" * 900)])
def test_anything_else_is_refused_in_the_same_words(demo, user, password):
    demo.expect("auth-failed")
    code, said = try_login(demo, user, password)
    assert (code, said) == try_login(demo, "nobody@example.test", "x")
    assert code == 535


def test_passwords_and_keys_are_nowhere_to_be_read(demo):
    """T038: not in the log, not in the data folder, not in the settings."""
    try_login(demo, demo.USER1, demo.PASS1)
    words = [demo.PASS1.encode(), demo.PASS2.encode(), b"PRIVATE KEY", b"$argon2id$"]
    files = [demo.log_path] + [f for f in glob.glob(demo.dir + "/**", recursive=True)
                               if os.path.isfile(f) and os.path.basename(f) != "demo.env"]
    assert ON_POSTGRES or any("index.db" in f for f in files)
    for name in files:
        with open(name, "rb") as f:
            text = f.read()
        assert not [w for w in words if w in text], name


def test_the_sealing_key_is_for_its_owner_only(demo):
    st = os.stat(demo.dir + "/data/seal")
    assert stat.S_IMODE(st.st_mode) == 0o600
    with open(demo.dir + "/data/seal") as f:
        assert f.read().startswith("eilpost sealing key 1\n")


# ---- changing a password -------------------------------------------------------------------------


def test_a_new_password_counts_at_once_and_ends_what_the_old_one_opened(start_demo):
    """T037: within five seconds."""
    demo = start_demo()
    box = demo.imap()
    box.select("INBOX")
    command(demo, "account", "password", demo.USER1, stdin="a new one 77\n")
    until = time.monotonic() + 5
    with pytest.raises((imaplib.IMAP4.abort, OSError, ssl.SSLError)):
        while time.monotonic() < until:
            box.noop()
            time.sleep(0.1)
    assert try_login(demo, demo.USER1, demo.PASS1)[0] == 535
    assert try_login(demo, demo.USER1, "a new one 77")[0] == 235


def test_a_disabled_account_does_not_get_in(start_demo):
    demo = start_demo()
    command(demo, "account", "disable", demo.USER2)
    assert try_login(demo, demo.USER2, demo.PASS2)[0] == 535
    command(demo, "account", "enable", demo.USER2)
    assert try_login(demo, demo.USER2, demo.PASS2)[0] == 235


# ---- guessing ------------------------------------------------------------------------------------


def test_guessing_has_an_end_and_then_the_right_one_is_refused_too(start_demo):
    """T029"""
    demo = start_demo("auth.account-attempts=5", "auth.window=1h")
    codes = [try_login(demo, demo.USER2, f"guess {i}")[0] for i in range(8)]
    assert codes[:5] == [535] * 5
    assert all(c in (454, 421) for c in codes[5:]), codes
    assert try_login(demo, demo.USER2, demo.PASS2)[0] in (454, 421)
    assert try_login(demo, demo.USER1, demo.PASS1)[0] == 235


def test_whoever_has_been_here_before_is_not_locked_out_by_others(start_demo):
    """Guesses come from 127.0.0.1, the owner from another network."""
    demo = start_demo("auth.account-attempts=4", "auth.window=1h")

    def login_from(address, password):
        with socket.create_connection((demo.HOST, demo.SUBMISSIONS_PORT), 30, (address, 0)) as c:
            s = Raw.__new__(Raw)
            s.demo, s.sock, s.rest = demo, c, b""
            s.start_tls()
            s.hello()
            return s.login(demo.USER1, password)[0]

    assert login_from("127.9.9.9", demo.PASS1) == 235
    assert [login_from("127.0.0.1", "x") for _ in range(5)][-1] in (454, 421)
    assert login_from("127.0.0.1", demo.PASS1) in (454, 421)
    assert login_from("127.9.9.9", demo.PASS1) == 235


@pytest.mark.skipif("asan" in PROGRAM, reason="sanitizers have their own memory")
def test_many_logins_at_once_cost_bounded_memory_and_the_owner_gets_in(start_demo):
    """T030"""
    demo = start_demo()
    assert try_login(demo, demo.USER1, demo.PASS1)[0] == 235 # has been here
    with concurrent.futures.ThreadPoolExecutor(120) as pool:
        storm = [pool.submit(try_login, demo, f"user{i}@example.test", "x") for i in range(120)]
        start = time.monotonic()
        good = try_login(demo, demo.USER1, demo.PASS1)[0]
        took = time.monotonic() - start
        codes = {f.result()[0] for f in storm}
    assert good == 235 and took < 3, took
    assert codes <= {535, 454, 421}, codes
    assert memory(role_pid(demo, "vault"))[1] < 150 * 1024


# ---- deaths --------------------------------------------------------------------------------------


def test_sessions_outlive_a_store_and_a_vault(start_demo):
    demo = start_demo()
    demo.expect(".")
    box = demo.imap()
    box.select("INBOX")
    for role in ("store", "vault", "store"):
        os.kill(role_pid(demo, role), signal.SIGKILL)
        assert box.noop()[0] == "OK"
        assert box.select("INBOX")[0] == "OK"
    box.logout()
    until = time.monotonic() + 20
    while try_login(demo, demo.USER1, demo.PASS1)[0] != 235:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_certificates_survive_a_restart(start_demo):
    demo = start_demo()

    def certificate():
        with demo.connect(demo.IMAPS_PORT) as s, \
                demo.tls.wrap_socket(s, server_hostname=demo.TLS_NAME) as t:
            return t.getpeercert(True)

    before = certificate()
    demo.stop()
    demo.start()
    assert certificate() == before
    assert try_login(demo, demo.USER1, demo.PASS1)[0] == 235


# ---- certificates of one's own -------------------------------------------------------------------


@pytest.fixture(scope="session")
def own_certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout",
                    key, "-out", cert, "-subj", "/CN=own.test", "-addext",
                    "subjectAltName=DNS:own.test"], check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_from_files_is_shown_to_clients(start_demo, own_certificate, version):
    """An RSA key, so both of its signature forms come through the vault."""
    cert, key = own_certificate
    demo = start_demo(f"tls.certificate={cert}", f"tls.key={key}")
    client = ssl.create_default_context(cafile=cert)
    client.minimum_version = client.maximum_version = version
    with demo.connect(demo.SUBMISSIONS_PORT) as s, \
            client.wrap_socket(s, server_hostname="own.test") as t:
        assert t.getpeercert()["subjectAltName"] == (("DNS", "own.test"),)


def test_tickets_of_one_service_are_worth_nothing_at_another(demo):
    """T023"""
    client = ssl.create_default_context(cafile=demo.CAFILE)
    client.minimum_version = ssl.TLSVersion.TLSv1_3

    def handshake(port, session=None):
        with demo.connect(port) as s, \
                client.wrap_socket(s, server_hostname=demo.TLS_NAME, session=session) as t:
            t.recv(10) # the ticket comes with the first bytes
            return t.session, t.session_reused

    first, _ = handshake(demo.SUBMISSIONS_PORT)
    assert handshake(demo.SUBMISSIONS_PORT, first)[1]
    assert not handshake(demo.IMAPS_PORT, first)[1]


# ---- what is wrong is said ------------------------------------------------------------------------


def start_expecting_failure(folder, wanted, *settings):
    """What is said by a start that cannot succeed, as soon as it says `wanted`."""
    args = [PROGRAM, "demo", "--dir", str(folder), "--port-base", str(free_base())]
    for s in settings:
        args += ["--set", s]
    said = ""
    with open(f"{folder}.log", "w+") as log:
        p = subprocess.Popen(args, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 20
        while wanted not in said and p.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
            with open(log.name) as f:
                said = f.read()
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        with open(log.name) as f:
            said = f.read()
    assert wanted in said and "ready\n" not in said, said
    return said


def test_a_damaged_sealing_key_is_named(tmp_path):
    folder = tmp_path / "d"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "seal").write_text("eilpost sealing key 1\nnonsense\n")
    (folder / "data" / "seal").chmod(0o600)
    assert "backup" in start_expecting_failure(folder, "the sealing key file is damaged")
    assert (folder / "data" / "seal").read_text() == "eilpost sealing key 1\nnonsense\n"


def test_a_key_that_does_not_fit_its_certificate_is_named(tmp_path, own_certificate):
    key = str(tmp_path / "other.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-out", key], check=True, capture_output=True)
    start_expecting_failure(tmp_path / "d", "tls.certificate and tls.key",
                            f"tls.certificate={own_certificate[0]}", f"tls.key={key}")
