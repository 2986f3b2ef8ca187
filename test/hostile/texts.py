"""T010, T011, T018, T085, T086: texts that mean something to somebody else. Here they are bytes, and stay as they are."""
from case import BYE, C, DATA, DOT, MAIL, RCPT, TEXT, whole

WORDS = [b"${run{/bin/sh -c id}}", b"${run{x}}", b"%u%n%s%d", b"{{7*7}}", b"$(id)", b"`id`", b"#{7*7}", b"<%= 7*7 %>", b"${jndi:ldap://x}",
         b"%(x)s", b"\\r\\n.\\r\\n", b"&lt;script&gt;", b"<script>alert(1)</script>", b"'; DROP TABLE message; --", b"../../../etc/passwd",
         b"\x1b]0;x\x07\x1b[2J", b"=?utf-8?q?=0d=0a.=0d=0a?=", b"__proto__", b"%0d%0a.%0d%0a", b"~!dead.letter"]
HEADS = {"no-name": b": x\r\n", "space-name": b" : x\r\n", "no-colon": b"Subject\r\n", "proto": b"__proto__: x\r\nconstructor: y\r\n",
         "twice": b"Subject: x\r\nSubject: y\r\nMessage-ID: <a@b>\r\nMessage-ID: <c@d>\r\n", "long-name": b"X" * 60000 + b": x\r\n",
         "eight-bit-name": b"\xff\xfe: x\r\n", "only-folds": b" a\r\n b\r\n", "empty-fold": b"X: a\r\n \r\n b\r\n", "From_": b"From ann Mon Jan  2 10:00:00 2023\r\n",
         "tabs": b"X:\t\t\t\r\n", "controls": b"X: \x01\x02\x1b[31m\x7f\r\n", "many-fields": b"X: y\r\n" * 1900,
         "many-folds": b"X: y\r\n" + b" z\r\n" * 5000, "many-addresses": b"To: " + b"a@b.example,\r\n " * 5000 + b"c@d.example\r\n",
         "many-parameters": b"Content-Type: text/plain" + b";\r\n a=b" * 5000 + b"\r\n", "deep-comments": b"X: " + b"(" * 20000 + b"\r\n",
         "deep-groups": b"To: " + b"a:" * 20000 + b"\r\n", "backslashes": b'From: "' + b"\\" * 50000 + b'\r\n', "quotes": b'To: ' + b'"' * 50000 + b"\r\n",
         "bad-date": b"Date: " + b"9" * 5000 + b"\r\n", "bad-charset": b"Subject: =?" + b"x" * 20000 + b"?q?" + b"=00" * 5000 + b"?=\r\n",
         "nested-encoded": b"Subject: " + b"=?utf-8?b?" * 5000 + b"\r\n", "status": b"X-Spam-Status: No\r\nDelivered-To: x\r\n"}


def mime(depth, parts):
    head, tail = b"", b""
    for i in range(depth):
        head += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i)
    if parts:
        head += b"Content-Type: multipart/mixed; boundary=p\r\n\r\n"
        tail = b"--p\r\n\r\nx\r\n" * parts + b"--p--\r\n"
    return b"MIME-Version: 1.0\r\n" + head + b"\r\n" + tail


def cases():
    for i, word in enumerate(WORDS):
        body = b"Subject: " + word + b" {mark}\r\nX-" + bytes(c for c in word if 32 < c < 127 and c != 58) + b": " + word + b"\r\n\r\n" + word + b"\r\n"
        yield C(f"text-{i}", "T010", "mx", "hello", whole(body) + BYE, arrives=[body])
        if not any(c in word for c in b"<>\x1b "):
            sender = b'MAIL FROM:<"' + word.replace(b"\\", b"\\\\") + b'"@sender.example>\r\n'
            yield C(f"sender-{i}", "T010", "mx", "hello", whole(mail=sender) + BYE, arrives=[TEXT])
        yield C(f"VRFY-{i}", "T010", "mx", "hello", [b"VRFY " + word + b"{mark}\r\n", "252"] + BYE)
        yield C(f"NOOP-{i}", "T010", "mx", "hello", [b"NOOP " + word + b"{mark}\r\n", "250"] + BYE)
        yield C(f"unknown-{i}", "T017", "mx", "hello", [b"{mark}" + word + b"\r\n", "500"] + BYE)
    for name, head in HEADS.items():
        body = head + b"X-Mark: {mark}\r\n\r\nx\r\n"
        number = "T086" if name.startswith(("many", "deep")) else "T018"
        yield C(f"header-{name}", number, "mx", "hello", whole(body) + BYE, arrives=[body])
    for name, text in (("deep", mime(3000, 0)), ("wide", mime(0, 12000)), ("both", mime(200, 5000)),
                       ("rfc822", b"Content-Type: message/rfc822\r\n\r\n" * 5000), ("no-boundary", b"Content-Type: multipart/mixed\r\n\r\n--\r\n--\r\n"),
                       ("long-boundary", b"Content-Type: multipart/mixed; boundary=" + b"b" * 20000 + b"\r\n\r\n--" + b"b" * 20000 + b"\r\n"),
                       ("empty-boundary", b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\n----\r\n')):
        body = b"Subject: {mark}\r\n" + text
        yield C(f"mime-{name}", "T085", "mx", "hello", whole(body) + BYE, arrives=[body])


CASES = list(cases())
