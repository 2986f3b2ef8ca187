"""store.compress: mail takes less room, whoever reads it sees the same, and it can be undone."""
import base64
import json
import os
import random
import smtplib
import subprocess

import pytest

from conftest import PROGRAM
from mailbox_client import Imap

pytestmark = pytest.mark.embedded # files of its own

SEGMENT = 1 << 20
WORDS = """the quick brown fox of the board of directors has been asked whether next quarter's figures as they stand
should be sent around before thursday or rather with minutes of meeting in basel regards""".split()


def text(source, size):
    lines, line = [], ""
    while sum(map(len, lines)) < size:
        line = " ".join(source.choice(WORDS) for _ in range(12))
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def message(number, size, attached=0):
    source = random.Random(number)
    body = text(source, size)
    if attached:
        raw = base64.encodebytes(source.randbytes(attached)).replace(b"\n", b"\r\n").decode()
        body = f"--b\r\n\r\n{body}--b\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n\r\n{raw}--b--\r\n"
    kind = 'multipart/mixed; boundary="b"' if attached else "text/plain"
    return (f"From: a@example.net\r\nTo: b@example.net\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@example.net>\r\n"
            f"Subject: number {number}\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n{body}").encode()


def mail():
    return [message(n, 6000 + 1000 * (n % 30), attached=500_000 if n % 80 == 7 else 0) for n in range(320)]


def append(demo, bodies):
    box = Imap(demo).login()
    for body in bodies:
        box.append("INBOX", body)
    box.ok("LOGOUT")


def command(demo, *args):
    return subprocess.run([PROGRAM, "--config", demo.dir + "/eilpost.conf", *args], capture_output=True, text=True, timeout=120)


def log_bytes(demo):
    return json.loads(command(demo, "--json", "status").stdout)["log_bytes"]


def blob_bytes(demo):
    return sum(os.stat(os.path.join(where, f)).st_size for where, _, files in os.walk(demo.dir + "/data/blob") for f in files)


def restart(demo, *settings):
    demo.stop()
    demo.settings = settings
    demo.start()
    demo.begin_test()


def test_it_is_turned_on_and_mail_takes_less_room(start_demo):
    """New mail from then on; with fsck --compress what is there, too. Turned off again nothing is lost."""
    small = ("store.segment=1MB",)
    demo, sent = start_demo(*small), mail()
    append(demo, sent)
    log, blob = log_bytes(demo), blob_bytes(demo)
    assert blob > 2_000_000
    demo.stop()
    done = command(demo, "fsck", "--compress")
    assert done.returncode == 0 and done.stdout == "320 messages are compressed now.\n", done.stdout + done.stderr
    restart_from_stopped(demo, *small, "store.compress=on")
    assert demo.messages() == sent
    assert blob_bytes(demo) < blob * 0.85
    assert log_bytes(demo) < log * 0.7 + SEGMENT # one is made ahead, sooner or later
    before, blob = log_bytes(demo), blob_bytes(demo)
    append(demo, sent)
    assert log_bytes(demo) - before < log * 0.5 + SEGMENT
    assert blob_bytes(demo) < 2.1 * blob
    assert demo.messages() == sent + sent
    restart(demo, *small) # off: what is compressed is read all the same
    append(demo, sent[:5])
    assert demo.messages() == sent + sent + sent[:5]
    demo.stop()
    done = command(demo, "fsck")
    assert done.returncode == 0, done.stdout
    done = command(demo, "fsck", "--uncompress")
    assert done.returncode == 0 and done.stdout.startswith("640 messages"), done.stdout + done.stderr
    restart_from_stopped(demo, *small)
    assert demo.messages() == sent + sent + sent[:5]
    done = command(demo, "fsck", "--uncompress")
    assert done.returncode == 75 and "running" in done.stderr, done.stdout + done.stderr


def restart_from_stopped(demo, *settings):
    demo.settings = settings
    demo.start()
    demo.begin_test()


def test_mail_over_smtp_pop3_and_out_again(start_demo):
    """A part of a compressed message, all of it, and what the courier sends."""
    demo = start_demo("store.compress=on")
    big = message(7, 3000, attached=700_000)
    with smtplib.SMTP("127.0.0.1", demo.SMTP_PORT) as s:
        s.sendmail("a@example.net", [demo.USER1], big)
        s.sendmail("a@example.net", [demo.USER1], message(8, 20000))
    demo.wait_message(b"Subject: number 8")
    got = next(m for m in demo.messages() if b"Subject: number 7" in m)
    assert got.endswith(big)
    box = Imap(demo).login()
    box.ok("EXAMINE INBOX")
    at = len(got) - 300_000
    part = b"".join(box.ok(f"FETCH 1:* BODY.PEEK[]<{at}.50000>"))
    assert got[at:at + 50000] in part
    box.ok("LOGOUT")
