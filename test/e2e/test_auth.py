"""Every way to log in, on SMTP, IMAP and POP3 alike, with a client of our own and real ones."""
import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import time

import pytest

from raw import Raw
from test_vault import command, role_pid, try_login


def b64(data):
    return base64.b64encode(data).decode()


# ---- one door, three protocols ---------------------------------------------------------------


class Door:
    """A connection that may try to log in; the words of the three protocols are hidden here."""

    def __init__(self, demo, proto, tls=None):
        self.demo, self.proto = demo, proto
        port = {"smtp": demo.SUBMISSIONS_PORT, "imap": demo.IMAPS_PORT, "pop3": demo.POP3S_PORT}
        self.raw = Raw.__new__(Raw)
        self.raw.demo, self.raw.rest = demo, b""
        self.raw.sock = (tls or demo.tls).wrap_socket(demo.connect(port[proto]),
                                                      server_hostname=demo.TLS_NAME)
        self.raw.line()
        self.offered = self.capabilities()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.sock.close()

    def capabilities(self):
        if self.proto == "smtp":
            lines = self.raw.cmd("EHLO client.test")[1]
            return [w for li in lines if li.startswith("AUTH ") for w in li.split()[1:]]
        if self.proto == "imap":
            self.raw.send(b"c CAPABILITY\r\n")
            words = self.raw.line().decode().split()
            assert self.raw.line().startswith(b"c OK")
            return [w[5:] for w in words if w.startswith("AUTH=")]
        self.raw.send(b"CAPA\r\n")
        found = []
        while (line := self.raw.line()) != b".":
            if line.startswith(b"SASL "):
                found = line.decode().split()[1:]
        return found

    def begin(self, mech, initial=None):
        """The server's answer: bytes of a challenge, or a str that ends it."""
        words = {"smtp": "AUTH", "imap": "a AUTHENTICATE", "pop3": "AUTH"}[self.proto] + " " + mech
        if initial is not None:
            words += " " + (b64(initial) or "=")
        return self.tell(words)

    def tell(self, line):
        self.raw.send(line.encode() + b"\r\n")
        answer = self.raw.line()
        if answer is None:
            return "gone"
        answer = answer.decode()
        if self.proto == "smtp" and answer.startswith("334"):
            return base64.b64decode(answer[4:])
        if self.proto != "smtp" and answer.startswith("+ "):
            return base64.b64decode(answer[2:])
        return answer

    def answer(self, data):
        return self.tell(b64(data))

    def is_in(self, said):
        good = {"smtp": "235 ", "imap": "a OK ", "pop3": "+OK "}[self.proto]
        return isinstance(said, str) and said.startswith(good)


PROTOS = ["smtp", "imap", "pop3"]


# ---- SCRAM, by the formulas of RFC 5802 ------------------------------------------------------


def end_point(door):
    return hashlib.sha256(door.raw.sock.getpeercert(True)).digest()


def scram(door, mech, user, password, header=None, binding=None, first_later=False):
    """The last thing the server says; its signature is checked."""
    name = "sha1" if "SHA-1" in mech else "sha256"
    digest = lambda data: hashlib.new(name, data).digest()
    mac = lambda key, data: hmac.new(key, data, name).digest()
    if header is None:
        header = "p=tls-server-end-point,," if mech.endswith("-PLUS") else "n,,"
    if binding is None:
        binding = end_point(door) if mech.endswith("-PLUS") else b""
    nonce = secrets.token_urlsafe(18)
    bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    if first_later:
        assert door.begin(mech) == b""
        said = door.answer((header + bare).encode())
    else:
        said = door.begin(mech, (header + bare).encode())
    if isinstance(said, str):
        return said
    challenge = said.decode()
    parts = dict(p.split("=", 1) for p in challenge.split(","))
    assert parts["r"].startswith(nonce) and len(parts["r"]) > len(nonce)
    salted = hashlib.pbkdf2_hmac(name, password.encode(), base64.b64decode(parts["s"]),
                                 int(parts["i"]))
    last = f"c={b64(header.encode() + binding)},r={parts['r']}"
    whole = f"{bare},{challenge},{last}".encode()
    key = mac(salted, b"Client Key")
    proof = bytes(a ^ b for a, b in zip(key, mac(digest(key), whole)))
    said = door.answer(f"{last},p={b64(proof)}".encode())
    if isinstance(said, str):
        return said
    assert said == b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), whole))
    return door.answer(b"")


MECHS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]


@pytest.mark.parametrize("mech", MECHS)
@pytest.mark.parametrize("proto", PROTOS)
def test_scram_opens_every_door(demo, proto, mech):
    demo.expect("auth-failed")
    with Door(demo, proto) as d:
        assert d.is_in(scram(d, mech, demo.USER1, demo.PASS1))
    with Door(demo, proto) as d:
        assert d.is_in(scram(d, mech, demo.USER2, demo.PASS2, first_later=True))
    with Door(demo, proto) as d:
        assert not d.is_in(scram(d, mech, demo.USER1, demo.PASS1 + "x"))
        assert d.is_in(scram(d, mech, demo.USER1, demo.PASS1)) # the same session may try again


@pytest.mark.parametrize("proto", PROTOS)
def test_the_strongest_is_offered_first_and_nothing_without_tls(demo, proto):
    with Door(demo, proto) as d:
        assert d.offered == MECHS + ["PLAIN", "LOGIN"]
    port = {"smtp": demo.SUBMISSION_PORT, "imap": demo.IMAP_PORT, "pop3": demo.POP3_PORT}[proto]
    with Raw(demo, port) as s:
        s.line()
        s.send({"smtp": b"EHLO x\r\n", "imap": b"a CAPABILITY\r\n", "pop3": b"CAPA\r\n"}[proto])
        time.sleep(0.2)
        s.sock.settimeout(1)
        assert b"SCRAM" not in s.sock.recv(4096)


def test_T031_unknown_names_hear_what_wrong_passwords_hear(demo):
    demo.expect("auth-failed")
    said = set()
    for user in (demo.USER1, "nobody@example.test", "x", "a,b=c@example.test"):
        with Door(demo, "smtp") as d:
            said.add(scram(d, "SCRAM-SHA-256", user, "wrong"))
    assert said == {"535 5.7.8 wrong name or password"}


def test_T032_a_channel_binding_that_was_taken_away_is_noticed(demo):
    demo.expect("auth-failed")
    plus = "SCRAM-SHA-256-PLUS"
    with Door(demo, "smtp") as d:
        me = (demo.USER1, demo.PASS1)
        # The client could bind, and did not see that we can: somebody changed the list.
        assert scram(d, "SCRAM-SHA-256", *me, header="y,,").startswith("535 5.7.8")
        assert scram(d, plus, *me, binding=b"x" * 32).startswith("535 5.7.8")
        assert scram(d, plus, *me, header="p=tls-unique,,").startswith("535 5.7.8")
        assert scram(d, plus, *me, header="n,,", binding=b"").startswith("501 5.5.2")
        assert scram(d, "SCRAM-SHA-256", *me, header="p=tls-exporter,,").startswith("501 5.5.2")
        assert d.is_in(scram(d, plus, *me))


def test_T032_a_session_of_tls_1_2_binds_to_the_certificate(demo):
    demo.expect("auth-failed")
    old = ssl.create_default_context(cafile=demo.CAFILE)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with Door(demo, "imap", old) as d:
        assert "SCRAM-SHA-256-PLUS" in d.offered
        # There is no tls-exporter below 1.3.
        assert not d.is_in(scram(d, "SCRAM-SHA-256-PLUS", demo.USER1, demo.PASS1,
                                 header="p=tls-exporter,,", binding=b"x" * 32))
        assert d.is_in(scram(d, "SCRAM-SHA-256-PLUS", demo.USER1, demo.PASS1))


def test_a_client_that_does_not_accept_the_servers_proof_is_not_in(demo):
    """The vault has said yes; the client breaks off."""
    with Door(demo, "smtp") as d:
        real, d.answer = d.answer, lambda data: real(data) if data else d.tell("*")
        assert scram(d, "SCRAM-SHA-256", demo.USER1, demo.PASS1).startswith("501 5.7.0")
        assert d.tell(f"MAIL FROM:<{demo.USER1}>").startswith("530 5.7.0")
        d.answer = real
        assert d.is_in(scram(d, "SCRAM-SHA-256", demo.USER1, demo.PASS1))
        assert d.tell(f"MAIL FROM:<{demo.USER1}>").startswith("250")


def test_T029_guessing_by_scram_has_an_end_too(start_demo):
    demo = start_demo("auth.account-attempts=5", "auth.window=1h")
    codes = []
    for i in range(8):
        with Door(demo, "smtp") as d:
            codes.append(scram(d, "SCRAM-SHA-256", demo.USER2, f"guess {i}")[:3])
    assert codes == ["535"] * 5 + ["454"] * 3
    assert try_login(demo, demo.USER2, demo.PASS2)[0] == 454


def test_a_password_that_keyboards_spell_differently(start_demo):
    """Composed or not: the same password (RFC 4013)."""
    demo = start_demo()
    command(demo, "account", "password", demo.USER1, stdin="caf\u00e9 12 ro\u0308ck\n")
    assert try_login(demo, demo.USER1, "cafe\u0301 12 r\u00f6ck")[0] == 235
    with Door(demo, "imap") as d: # a client prepares before it hashes
        assert d.is_in(scram(d, "SCRAM-SHA-256", demo.USER1, "caf\u00e9 12 r\u00f6ck"))


# ---- the frame of an exchange ------------------------------------------------------------------


def test_T028_aborts_and_switches_disturb_nobody(demo):
    demo.expect("auth-failed")
    stop = time.monotonic() + 4

    def disturb(seed):
        lines = ["*", "=", "AAAA", "!!!", "", b64(b"n,,n=x,r=abc"), b64(b"c=biws,r=x,p=AAAA"),
                 b64(b"\0" * 3), "x" * 12000]
        count = 0
        while time.monotonic() < stop:
            with Door(demo, PROTOS[seed % 3]) as d, contextlib.suppress(OSError):
                for i in range(6):
                    said = d.begin((MECHS + ["PLAIN", "LOGIN", "EXTERNAL"])[(seed + i) % 7])
                    while isinstance(said, bytes):
                        count += 1
                        said = d.tell(lines[count % len(lines)])
                    if said == "gone":
                        break
        return count

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        bad = [pool.submit(disturb, i) for i in range(3)]
        good = 0
        while time.monotonic() < stop:
            with Door(demo, PROTOS[good % 3]) as d:
                assert d.is_in(scram(d, MECHS[good % 4], demo.USER1, demo.PASS1))
            good += 1
        assert all(f.result() > 5 for f in bad) and good > 3


def test_lines_of_an_exchange_may_be_as_long_as_the_rfc_says(demo):
    demo.expect("auth-failed")
    with Door(demo, "smtp") as d:
        d.begin("PLAIN")
        assert d.tell("A" * (12288 - 2)).startswith("501 5.5.2")
        d.begin("PLAIN")
        assert d.tell("A" * (12288 - 1)).startswith("500 5.5.6")
        assert d.is_in(scram(d, "SCRAM-SHA-256", demo.USER1, demo.PASS1))
        assert d.begin("PLAIN").startswith("503 5.5.1")
    with Door(demo, "smtp") as d:
        assert d.begin("CRAM-MD5").startswith("504 5.5.4")
        assert d.begin("OAUTHBEARER").startswith("504 5.5.4")
        assert d.begin("EXTERNAL").startswith("504 5.5.4")
    with Raw(demo, demo.SUBMISSION_PORT) as s:
        s.hello()
        assert s.cmd("AUTH SCRAM-SHA-256 biws") == (538, ["5.7.11 STARTTLS first"])


# ---- what has been granted and is taken back -----------------------------------------------------


@pytest.mark.parametrize("how", ["password", "disable"])
def test_T037_a_waiting_session_is_told_at_once(start_demo, how):
    demo = start_demo("smtp.idle=60s")
    doors = {p: Door(demo, p) for p in PROTOS}
    for d in doors.values():
        assert d.is_in(scram(d, "SCRAM-SHA-256", demo.USER1, demo.PASS1))
        d.raw.sock.settimeout(5)
    idling = Door(demo, "imap")
    assert idling.is_in(scram(idling, "SCRAM-SHA-256", demo.USER1, demo.PASS1))
    idling.raw.send(b"x IDLE\r\n")
    assert idling.raw.line().startswith(b"+")
    idling.raw.sock.settimeout(5)
    if how == "password":
        command(demo, "account", "password", demo.USER1, stdin="another one 5\n")
    else:
        command(demo, "account", "disable", demo.USER1)
    assert doors["smtp"].raw.line().startswith(b"421 4.7.0")
    assert doors["imap"].raw.line().startswith(b"* BYE")
    assert doors["pop3"].raw.line().startswith(b"-ERR")
    assert idling.raw.line().startswith(b"* BYE")
    for d in [*doors.values(), idling]:
        assert d.raw.line() is None
        d.raw.sock.close()


def test_a_session_under_a_long_name_outlives_the_store(start_demo):
    demo = start_demo()
    demo.expect(".")
    user = "a" * 60 + "@" + "b" * 60 + ".test"
    command(demo, "domain", "add", user.split("@")[1])
    command(demo, "account", "add", user, stdin="long enough 7\n")
    box = demo.imap(user, "long enough 7")
    box.select("INBOX")
    os.kill(role_pid(demo, "store"), signal.SIGKILL)
    assert box.noop()[0] == "OK"
    assert box.select("INBOX")[0] == "OK"
    box.logout()


# ---- certificates ------------------------------------------------------------------------------


def openssl(*args, folder):
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=30)


def authority(folder, name="ca"):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            folder=folder)
    return str(folder / f"{name}.pem")


def person(folder, demo, alternative, ca="ca", days="1"):
    """A TLS context that shows a certificate with these names."""
    (folder / "ext").write_text(f"subjectAltName={alternative}\n" if alternative else "")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=x", "-keyout", "p.key", "-out", "p.csr", folder=folder)
    openssl("x509", "-req", "-in", "p.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days",
            days, "-extfile", "ext", "-CAcreateserial", "-out", "p.pem", folder=folder)
    context = ssl.create_default_context(cafile=demo.CAFILE)
    context.load_cert_chain(folder / "p.pem", folder / "p.key")
    return context


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_a_certificate_is_a_login(start_demo, tmp_path):
    demo = start_demo(f"auth.client-ca={authority(tmp_path)}")
    ann = person(tmp_path, demo, f"email:{demo.USER1}")
    for proto in PROTOS:
        with Door(demo, proto, ann) as d:
            assert "EXTERNAL" in d.offered
            assert not d.is_in(d.begin("EXTERNAL", demo.USER2.encode()))
            assert d.is_in(d.begin("EXTERNAL", b""))
        with Door(demo, proto, ann) as d:
            assert d.is_in(d.begin("EXTERNAL", demo.USER1.upper().encode()))
        with Door(demo, proto, ann) as d:
            assert d.begin("EXTERNAL") == b""
            assert d.is_in(d.answer(b""))
        with Door(demo, proto) as d: # who shows none is as welcome as before
            assert "EXTERNAL" not in d.offered
            assert not d.is_in(d.begin("EXTERNAL", b""))
            assert d.is_in(scram(d, "SCRAM-SHA-256-PLUS", demo.USER2, demo.PASS2))
    with Door(demo, "smtp", ann) as d:
        assert d.is_in(d.begin("EXTERNAL", b""))
        assert d.tell(f"MAIL FROM:<{demo.USER2}>").startswith("5")
        assert d.tell(f"MAIL FROM:<{demo.USER1}>").startswith("250")
    command(demo, "account", "disable", demo.USER1)
    with Door(demo, "smtp", ann) as d:
        assert d.begin("EXTERNAL", b"").startswith("535 5.7.8")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_T027_a_certificate_that_does_not_say_who_is_no_login(start_demo, tmp_path):
    demo = start_demo(f"auth.client-ca={authority(tmp_path)}")
    authority(tmp_path, "other")
    for alternative, ca in ((None, "ca"), ("DNS:ann.example.test", "ca"),
                            (f"email:{demo.USER1},email:{demo.USER2}", "ca"),
                            (f"email:{demo.USER1}", "other")):
        with Door(demo, "imap", person(tmp_path, demo, alternative, ca)) as d:
            assert "EXTERNAL" not in d.offered, alternative
            assert not d.is_in(d.begin("EXTERNAL", b""))
            assert d.is_in(scram(d, "SCRAM-SHA-256", demo.USER1, demo.PASS1))
    nobody = person(tmp_path, demo, "email:nobody@example.test")
    with Door(demo, "imap", nobody) as d: # a good certificate, and no such account
        assert "EXTERNAL" in d.offered
        assert not d.is_in(d.begin("EXTERNAL", b""))


# ---- our own client ------------------------------------------------------------------------------


def test_the_smarthost_gets_no_password(start_demo, tmp_path):
    """Two of us: one is the other's smarthost. It offers SCRAM, so that is what the courier takes."""
    provider = start_demo()
    command(provider, "domain", "add", "far.test")
    command(provider, "account", "add", "joe@far.test", stdin="joe reads 4\n")
    secret = tmp_path / "secret"
    secret.write_text(provider.PASS1 + "\n")
    demo = start_demo(f"smarthost=smtps://{provider.USER1.replace('@', '%40')}"
                      f"@{provider.TLS_NAME}:{provider.SUBMISSIONS_PORT}",
                      f"smarthost.password=file:{secret}", f"tls.ca-file={provider.CAFILE}")
    with Raw(demo, demo.SUBMISSIONS_PORT, tls=True) as s:
        s.hello()
        s.login(demo.USER1, demo.PASS1)
        assert s.message(demo.USER1, "joe@far.test", b"Subject: far away\r\n\r\nx\r\n")[0] == 250
    until = time.monotonic() + 20
    while True:
        box = provider.imap("joe@far.test", "joe reads 4")
        count = int(box.select("INBOX")[1][0])
        box.logout()
        if count:
            break
        assert time.monotonic() < until
        time.sleep(0.2)


# ---- programs that people use ------------------------------------------------------------------


def need(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def run(*args, stdin=None, env=None, code=0):
    r = subprocess.run(args, input=stdin, capture_output=True, timeout=60,
                       env=env and {**os.environ, **env})
    assert r.returncode == code, r.stdout.decode() + r.stderr.decode()
    return r.stdout.decode() + r.stderr.decode()


@need("gsasl")
@pytest.mark.parametrize("mech", MECHS + ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("proto", ["smtp", "imap"])
def test_gsasl_with_every_mechanism(demo, proto, mech):
    """Its -PLUS forms bind with tls-exporter. Told to leave them out, it must say that it cannot bind."""
    port = demo.SUBMISSION_PORT if proto == "smtp" else demo.IMAP_PORT
    said = run("gsasl", "--client", f"--{proto}", "--connect", f"{demo.TLS_NAME}:{port}",
               "--mechanism", mech, "--authentication-id", demo.USER1, "--password",
               demo.PASS1, f"--x509-ca-file={demo.CAFILE}", *([] if mech.endswith("PLUS") else ["--no-cb"]),
               stdin=b"")
    assert "235 2.7.0" in said or " OK [CAPABILITY" in said
    if mech.endswith("PLUS"):
        assert "cD10bHMtZXhwb3J0ZXIs" in said # "p=tls-exporter,"


@need("msmtp")
@pytest.mark.parametrize("mech", ["plain", "login", "scram-sha-1", "scram-sha-256"])
def test_msmtp_sends(demo, mech):
    word = secrets.token_hex(8)
    run("msmtp", "--host=" + demo.TLS_NAME, f"--port={demo.SUBMISSION_PORT}", "--tls=on",
        "--tls-trust-file=" + demo.CAFILE, "--auth=" + mech, "--user=" + demo.USER1,
        "--passwordeval=echo " + demo.PASS1, "--from=" + demo.USER1, demo.USER2,
        stdin=f"From: {demo.USER1}\nSubject: {word}\n\nhello\n".encode())
    demo.wait_message(word.encode(), who=2)


@need("curl")
@pytest.mark.parametrize("mech", ["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256"])
@pytest.mark.parametrize("url", ["imaps://{}:{}/", "pop3s://{}:{}/", "smtps://{}:{}/"])
def test_curl_logs_in(demo, url, mech):
    if mech.startswith("SCRAM") and "gsasl" not in run("curl", "--version").lower():
        pytest.skip("this curl has no SCRAM")
    port = {"i": demo.IMAPS_PORT, "p": demo.POP3S_PORT, "s": demo.SUBMISSIONS_PORT}[url[0]]
    run("curl", "-sS", "--max-time", "20", "--cacert", demo.CAFILE, "--login-options",
        "AUTH=" + mech, "--user", f"{demo.USER1}:{demo.PASS1}", url.format(demo.TLS_NAME, port),
        *(["-X", "NOOP"] if url[0] == "s" else []))


@need("swaks")
@pytest.mark.parametrize("mech", ["PLAIN", "LOGIN"])
def test_swaks_logs_in(demo, mech):
    said = run("swaks", "--server", f"{demo.HOST}:{demo.SUBMISSION_PORT}", "--tls", "--auth", mech,
               "--auth-user", demo.USER1, "--auth-password", demo.PASS1, "--from", demo.USER1,
               "--to", demo.USER2)
    assert "235 2.7.0" in said


@need("mbsync")
@pytest.mark.parametrize("mech", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"])
def test_mbsync_logs_in(demo, tmp_path, mech):
    """Through Cyrus SASL (libsasl2-modules)."""
    (tmp_path / "mail").mkdir()
    rc = tmp_path / "rc"
    rc.write_text(f"""
IMAPAccount demo
Host {demo.TLS_NAME}
Port {demo.IMAPS_PORT}
User {demo.USER1}
Pass {demo.PASS1}
AuthMechs {mech}
SSLType IMAPS
CertificateFile {demo.CAFILE}
SystemCertificates no

IMAPStore far
Account demo

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX

Channel all
Far :far:
Near :near:
Patterns INBOX
""")
    assert "INBOX" in run("mbsync", "-c", str(rc), "-l", "all", env={"HOME": str(tmp_path)})
