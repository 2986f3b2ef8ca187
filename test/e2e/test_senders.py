"""Programs and libraries that hand mail over: msmtp, s-nail, nodemailer, PHPMailer. Each by STARTTLS and
over TLS from the first byte, with a login; a wrong password and a foreign sender are refused in words."""
import email
import json
import os
import shutil
import subprocess
import uuid

import pytest

WAYS = ["submission", "submissions"]
NODE = """
const fs = require('fs'), nodemailer = require('nodemailer'), o = JSON.parse(process.argv[1])
nodemailer.createTransport({ host: o.host, port: o.port, secure: o.tls, requireTLS: !o.tls,
    tls: { ca: fs.readFileSync(o.ca) }, auth: { user: o.user, pass: o.password } })
  .sendMail({ from: o.sender, to: o.rcpt, bcc: o.bcc, subject: o.subject, text: o.body,
    attachments: [{ filename: 'data.bin', content: Buffer.from([0, 13, 10, 46, 13, 10, 255]) }] })
  .then(info => console.log(info.response), e => { console.error(e.message); process.exit(1) })
"""
PHP = """<?php
foreach (['Exception', 'SMTP', 'PHPMailer'] as $part) require "/usr/share/php/libphp-phpmailer/src/$part.php";
$o = json_decode($argv[1]);
$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
$mail->isSMTP();
$mail->Host = $o->host; $mail->Port = $o->port; $mail->SMTPSecure = $o->tls ? 'ssl' : 'tls';
$mail->SMTPAuth = true; $mail->Username = $o->user; $mail->Password = $o->password;
$mail->SMTPOptions = ['ssl' => ['cafile' => $o->ca]];
$mail->setFrom($o->sender); $mail->addAddress($o->rcpt); $mail->addBCC($o->bcc);
$mail->CharSet = 'UTF-8'; $mail->Encoding = '8bit';
$mail->Subject = $o->subject; $mail->Body = $o->body;
$mail->addStringAttachment("\\0\\r\\n.\\r\\n\\xff", 'data.bin');
try { $mail->send(); } catch (Exception $e) { fwrite(STDERR, $mail->ErrorInfo); exit(1); }
"""


def run(command, text="", env=None):
    return subprocess.run(command, input=text.encode(), capture_output=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})})


class Mail:
    """What is to be sent, and by whom."""

    def __init__(self, demo, way, password=None, sender=None):
        self.demo, self.tls = demo, way == "submissions"
        self.host, self.port = demo.TLS_NAME, getattr(demo, way.upper() + "_PORT")
        self.ca, self.user, self.password = demo.CAFILE, demo.USER1, password or demo.PASS1
        self.sender, self.rcpt, self.bcc = sender or demo.USER1, demo.USER2, demo.USER1
        self.subject, self.body = uuid.uuid4().hex, "first\n.\n..two\nüñí\n" + "long " * 300 + "\n"

    def json(self):
        return json.dumps({k: v for k, v in vars(self).items() if k != "demo"})


def msmtp(mail, tmp_path):
    text = (f"From: <{mail.sender}>\nTo: <{mail.rcpt}>\nBcc: <{mail.bcc}>\nSubject: {mail.subject}\n"
            f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{mail.body}")
    return run(["msmtp", "--file=/dev/null", f"--host={mail.host}", f"--port={mail.port}", "--tls=on",
                f"--tls-starttls={'off' if mail.tls else 'on'}", f"--tls-trust-file={mail.ca}",
                "--auth=plain", f"--user={mail.user}", f"--passwordeval=echo '{mail.password}'",
                f"--from={mail.sender}", "--", mail.rcpt, mail.bcc], text)


def s_nail(mail, tmp_path):
    login = f"{mail.user.replace('@', '%40')}:{mail.password}"
    return run(["s-nail", "-:/", "-Sv15-compat", "-Sttycharset=utf-8", f"-Stls-ca-file={mail.ca}",
                "-Stls-verify=strict", "-Ssmtp-use-starttls", "-Ssmtp-auth=plain", f"-Sfrom={mail.sender}",
                "-Ssendwait", f"-Smta={'smtps' if mail.tls else 'smtp'}://{login}@{mail.host}:{mail.port}",
                "-s", mail.subject, "-b", mail.bcc, mail.rcpt], mail.body)


def nodemailer(mail, tmp_path):
    return run(["node", "-e", NODE, mail.json()], env={"NODE_PATH": "/usr/share/nodejs"})


def phpmailer(mail, tmp_path):
    script = tmp_path / "send.php"
    script.write_text(PHP)
    return run(["php", str(script), mail.json()])


SENDERS = [pytest.param(f, id=f.__name__, marks=pytest.mark.skipif(
    not os.path.exists(there), reason=f"{there} is not there"))
    for f, there in ((msmtp, "/usr/bin/msmtp"), (s_nail, "/usr/bin/s-nail"),
                     (nodemailer, "/usr/share/nodejs/nodemailer" if shutil.which("node") else "node"),
                     (phpmailer, "/usr/share/php/libphp-phpmailer/src" if shutil.which("php") else "php"))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("send", SENDERS)
def test_mail_arrives(demo, tmp_path, send, way):
    mail = Mail(demo, way)
    r = send(mail, tmp_path)
    assert r.returncode == 0, r.stderr
    for who in (1, 2):
        got = demo.wait_message(mail.subject.encode(), who)
        assert b"\r\nbcc:" not in got.lower()
        assert b"\r\nDate: " in got and b"\r\nmessage-id: " in got.lower()
        text = email.message_from_bytes(got)
        part = next(p for p in text.walk() if p.get_content_type() == "text/plain")
        assert part.get_payload(decode=True).decode().replace("\r\n", "\n").strip() == mail.body.strip()
        for p in text.walk():
            if p.get_filename() == "data.bin":
                assert p.get_payload(decode=True) == b"\0\r\n.\r\n\xff"


@pytest.mark.parametrize("send", SENDERS)
def test_a_wrong_password_is_said(demo, tmp_path, send):
    r = send(Mail(demo, "submission", password="wrong"), tmp_path)
    assert r.returncode != 0
    assert b"535" in r.stderr or b"uthent" in r.stderr


@pytest.mark.parametrize("send", SENDERS)
def test_a_foreign_sender_is_refused(demo, tmp_path, send):
    r = send(Mail(demo, "submission", sender=demo.USER2), tmp_path)
    assert r.returncode != 0
    assert demo.USER2.encode() in r.stderr or b"55" in r.stderr
