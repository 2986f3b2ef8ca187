"""Programs that people use: curl, mutt, mbsync."""
import email
import os
import pty
import select
import shutil
import subprocess
import time
import uuid

import pytest

from mailbox_client import Imap, fresh, multipart, plain


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, timeout=60, **more).stdout


def need(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def curl(demo, url, *more, who=2):
    return run("curl", "-sS", "--max-time", "20", "--cacert", demo.CAFILE, "--ssl-reqd", "--user",
               f"{getattr(demo, f'USER{who}')}:{getattr(demo, f'PASS{who}')}", url, *more)


# ---- curl -----------------------------------------------------------------------------------


@need("curl")
@pytest.mark.parametrize("scheme", ["imaps", "imap"])
def test_curl_reads_by_imap(demo, scheme):
    port = demo.IMAPS_PORT if scheme == "imaps" else demo.IMAP_PORT
    base = f"{scheme}://{demo.TLS_NAME}:{port}/"
    message = multipart()
    with Imap(demo).login(2) as c:
        box = fresh(c)
        uid = c.append(box, message)
    assert curl(demo, f"{base}{box};UID={uid}") == message
    assert curl(demo, f"{base}{box};MAILINDEX=1;SECTION=TEXT") == message.partition(b"\r\n\r\n")[2]
    assert box.encode() in curl(demo, base)
    assert b"* SEARCH 1\r\n" in curl(demo, f"{base}{box}?ALL")
    assert b"STATUS" in curl(demo, base, "-X", f"STATUS {box} (MESSAGES)")


@need("curl")
def test_curl_appends(demo, tmp_path):
    file = tmp_path / "m.eml"
    file.write_bytes(plain("from curl"))
    with Imap(demo).login(2) as c:
        box = fresh(c)
        curl(demo, f"imaps://{demo.TLS_NAME}:{demo.IMAPS_PORT}/{box}", "-T", str(file))
        assert b"* 1 EXISTS" in c.ok("NOOP")


@need("curl")
@pytest.mark.parametrize("scheme", ["pop3s", "pop3"])
def test_curl_reads_by_pop3(demo, scheme):
    port = demo.POP3S_PORT if scheme == "pop3s" else demo.POP3_PORT
    base = f"{scheme}://{demo.TLS_NAME}:{port}/"
    demo.empty(2)
    dots = plain("dots", ".\r\n..x\r\n")
    with Imap(demo).login(2) as c:
        c.append("INBOX", plain("first"))
        c.append("INBOX", dots)
    assert curl(demo, base).split()[::2] == [b"1", b"2"]
    assert curl(demo, base + "2") == dots


# ---- mutt -----------------------------------------------------------------------------------


def mutt(demo, tmp_path, folder, keys, who=2, path=None):
    """Run mutt on a terminal of its own until it ends."""
    rc = tmp_path / "muttrc"
    rc.write_text(f"""
set ssl_starttls=yes ssl_force_tls=yes ssl_ca_certificates_file="{demo.CAFILE}"
set ssl_verify_host=yes
set imap_user="{getattr(demo, f'USER{who}')}" imap_pass="{getattr(demo, f'PASS{who}')}"
set folder="imaps://{demo.TLS_NAME}:{demo.IMAPS_PORT}/" record="" postponed="" mbox_type=mbox
set confirmcreate=no confirmappend=no delete=yes quit=yes move=no wait_key=no sort=mailbox-order
set header_cache="" message_cachedir="" tmpdir="{tmp_path}" timeout=1
push "{keys}"
""")
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="vt100", HOME=str(tmp_path), LC_ALL="C.UTF-8", COLUMNS="120",
                          LINES="40")
        os.execvp("mutt", ["mutt", "-n", "-F", str(rc), "-f",
                           str(path or f"imaps://{demo.TLS_NAME}:{demo.IMAPS_PORT}/{folder}")])
    seen = b""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                more = os.read(fd, 65536)
            except OSError:
                more = b""
            if not more:
                break
            seen += more
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        pytest.fail("mutt does not end: " + seen[-2000:].decode("utf-8", "replace"))
    os.close(fd)
    _, code = os.waitpid(pid, 0)
    assert code == 0, seen[-2000:]
    return seen


@need("mutt")
def test_mutt_reads_flags_and_saves(demo, tmp_path):
    with Imap(demo).login(2) as c:
        box = fresh(c)
        other = box + "-saved"
        for i in range(3):
            c.append(box, plain(f"mutt {i}"))
        c.append(box, multipart())
        # flag the first, delete the second, save the third into a new folder, read the fourth
        mutt(demo, tmp_path, box,
             "<first-entry><flag-message><first-entry><next-entry><delete-message>"
             f"3<enter><save-message><kill-line>={other}<enter>"
             "4<enter><display-message><exit>"
             "<sync-mailbox><quit>")
        c.ok(f'SELECT "{box}"')
        got = c.ok("FETCH 1:* (UID FLAGS)")
        assert [x.split()[4] for x in got] == [b"1", b"4"]
        assert b"\\Flagged" in got[0] and b"\\Seen" in got[1]
        c.ok(f'SELECT "{other}"')
        (line,) = c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
        assert b"mutt 2" in line


@need("mutt")
def test_mutt_copies_a_mailbox_home(demo, tmp_path):
    with Imap(demo).login(2) as c:
        box = fresh(c)
        sent = [plain(f"home {i}", f"text {i}\r\n") for i in range(5)] + [multipart()]
        for m in sent:
            c.append(box, m)
    home = tmp_path / "home.mbox"
    mutt(demo, tmp_path, box, f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{home}"
                              "<enter><quit>")
    import mailbox
    got = [m.get("Subject") for m in mailbox.mbox(home)]
    assert got == [email.message_from_bytes(m).get("Subject") for m in sent]


# ---- mbsync ---------------------------------------------------------------------------------


def mbsync(demo, tmp_path, who=2):
    rc = tmp_path / "mbsyncrc"
    rc.write_text(f"""
IMAPAccount demo
Host {demo.TLS_NAME}
Port {demo.IMAPS_PORT}
User {getattr(demo, f'USER{who}')}
Pass {getattr(demo, f'PASS{who}')}
SSLType IMAPS
CertificateFile {demo.CAFILE}
SystemCertificates no

IMAPStore far
Account demo

MaildirStore near
SubFolders Verbatim
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Sync All
SyncState *
""")
    (tmp_path / "mail").mkdir(exist_ok=True)
    return run("mbsync", "-c", str(rc), "-a", env={**os.environ, "HOME": str(tmp_path)})


def files(folder):
    return sorted(str(f) for d in ("cur", "new") for f in (folder / d).iterdir())


@need("mbsync")
def test_mbsync_keeps_both_sides_the_same(start_demo, tmp_path):
    demo = start_demo()
    mail = tmp_path / "mail"
    with Imap(demo).login(2) as c:
        for i in range(20):
            c.append("INBOX", plain(f"sync {i}"), "\\Seen" if i % 2 else "")
        c.ok('CREATE "Work/2026"')
        parts = multipart()
        c.append("Work/2026", parts)
        mbsync(demo, tmp_path)
        assert len(files(mail / "INBOX")) == 20
        (near,) = files(mail / "Work" / "2026")
        assert open(near, "rb").read().endswith(parts.partition(b"\r\n\r\n")[2].replace(b"\r", b""))
        # there: flag one, delete one, add one
        c.ok("SELECT INBOX")
        c.ok("STORE 1 +FLAGS (\\Flagged \\Answered)")
        c.ok("STORE 2 +FLAGS (\\Deleted)")
        c.ok("EXPUNGE")
        c.append("INBOX", plain("late"))
        # here: flag one, delete one, add one, a new folder
        flagged = [f for f in files(mail / "INBOX") if b"sync 10\r" in open(f, "rb").read() or
                   b"sync 10\n" in open(f, "rb").read()][0]
        base = flagged.split("/")[-1].split(":2,")[0]
        os.rename(flagged, str(mail / "INBOX" / "cur" / (base + ":2,FS")))
        gone = [f for f in files(mail / "INBOX") if b"sync 12\n" in open(f, "rb").read()][0]
        base = gone.split("/")[-1].split(":2,")[0]
        os.rename(gone, str(mail / "INBOX" / "cur" / (base + ":2,ST")))
        (mail / "INBOX" / "new" / f"1.{uuid.uuid4().hex}.here").write_bytes(
            plain("from here").replace(b"\r\n", b"\n"))
        for d in ("cur", "new", "tmp"):
            (mail / "Near" / d).mkdir(parents=True)
        (mail / "Near" / "new" / "1.x.here").write_bytes(plain("near").replace(b"\r\n", b"\n"))
        mbsync(demo, tmp_path)
        mbsync(demo, tmp_path)
        c.ok("SELECT INBOX")
        got = c.ok("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        subjects = sorted(x.split(b"Subject: ")[1].split(b"\r")[0] for x in got)
        assert subjects == sorted([b"sync %d" % i for i in range(20) if i not in (1, 12)] +
                                  [b"late", b"from here"])
        assert any(b"sync 10\r" in x and b"\\Flagged" in x and b"\\Seen" in x for x in got)
        assert len(files(mail / "INBOX")) == len(got) == 20
        assert any("F" in f.split(":2,")[1] and "R" in f.split(":2,")[1]
                   for f in files(mail / "INBOX") if ":2," in f)
        assert b"(MESSAGES 1)" in c.ok("STATUS Near (MESSAGES)")[0]
