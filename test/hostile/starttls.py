"""T019, T005, T017: the way into TLS and the ways out of it (RFC 3207).

CVE-2011-0411 and the many of 2021 (NO STARTTLS); CVE-2026-45185, CVE-2017-16943.
"""
from case import (BYE, C, CLEAR, CLOSED, DATA, DOT, ENDS, EVIL, FIN, GOES_ON, MAIL, NOTIFY, QUIT, RCPT, RST,
                  TEXT, TLS, whole)

START = b"STARTTLS\r\n"
NOTHING = ["554 5.5.1", CLOSED]


def injected():
    """Clear text behind STARTTLS: with it, cut off it, or before the handshake."""
    behind = {"NOOP": b"NOOP\r\n", "MAIL": MAIL, "message": b"EHLO evil\r\n" + EVIL, "RSET": b"RSET\r\n",
              "QUIT": QUIT, "STARTTLS": START, "AUTH": b"AUTH PLAIN AGEAYg==\r\n", "half": b"NO", "space": b" ",
              "newline": b"\r\n", "CR": b"\r", "NUL": b"\0", "EHLO": b"EHLO evil\r\n",
              "hello-of-TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}
    for service in ("mx", "sub"):
        for name, data in behind.items():
            yield C(f"{service}-behind-{name}", "T019", service, "hello", [START + data] + NOTHING)
            yield C(f"{service}-instead-{name}", "T019", service, "hello", [START, "220 2.0.0", data, FIN, ENDS])
        yield C(f"{service}-after-a-broken-handshake", "T019", service, "hello",
                [START, "220 2.0.0", b"\x16\x03\x01\x00\x05xxxxx", b"EHLO evil\r\n" + EVIL, FIN, ENDS])
        yield C(f"{service}-behind-in-a-transaction", "T019", service, "hello",
                ([MAIL, "250", RCPT, "250"] if service == "mx" else []) + [START + DATA] + NOTHING)
    for cut in range(1, len(START) + 5):
        whole_line = START + b"NOOP\r\n"
        if cut >= len(START):
            continue
        yield C(f"cut{cut}", "T019", "mx", "hello", [whole_line[:cut], whole_line[cut:]] + NOTHING)
    yield C("lower-case", "T019", "mx", "hello", [b"starttls\r\nnoop\r\n"] + NOTHING)
    yield C("pipelined-group", "T019", "mx", "hello", [b"RSET\r\n" + START + b"RSET\r\n", "250"] + NOTHING)
    yield C("behind-EHLO", "T019", "mx", "greeted", [b"EHLO a.test\r\n" + START, "250", "220", TLS,
                                                   b"EHLO b.test\r\n", "250"] + whole() + BYE, arrives=[TEXT])


def forgotten():
    """RFC 3207 4.2: what was said before is not known afterwards."""
    for service in ("mx", "sub"):
        yield C(f"{service}-EHLO-is-forgotten", "T019", service, "hello",
                [START, "220", TLS, MAIL, "503 5.5.1", b"AUTH PLAIN AGEAYg==\r\n", "503 5.5.1", b"EHLO c.test\r\n", "250",
                 b"NOOP\r\n", "250 2.0.0"] + BYE)
    yield C("transaction-is-forgotten", "T019", "mx", "rcpt",
            [START, "220", TLS, RCPT, "503", DATA, "503", b"EHLO c.test\r\n", "250", DATA, "503 5.5.1", RCPT, "503 5.5.1"] +
            GOES_ON, arrives=[TEXT])
    yield C("twice", "T019", "mx-tls", "hello", [START, "503|554"] + GOES_ON, arrives=[TEXT])
    yield C("twice-before-EHLO", "T019", "mx-tls", "greeted", [START, "503 5.5.1", b"EHLO c.test\r\n", "250"] + BYE)
    yield C("with-an-argument", "T019", "mx", "hello", [b"STARTTLS now\r\n", "501 5.5.4"] + GOES_ON, arrives=[TEXT])
    yield C("before-EHLO", "T019", "mx", "greeted", [START, "503 5.5.1"] + BYE)
    yield C("on-465", "T019", "subs", "hello", [START, "503 5.5.1"] + BYE)
    yield C("after-login", "T019", "login", "hello", [START, "503 5.5.1"] + BYE)
    yield C("in-a-text-it-is-text", "T019", "mx", "data", [TEXT + START + DOT, "250"] + BYE, arrives=[TEXT + START])


def endings():
    """T005: TLS that ends, or is broken into, at any point of a transaction."""
    steps = {"hello": b"", "mail": b"", "rcpt": b"RCPT TO:<", "data": TEXT, "data-dot": TEXT + b".",
             "data-CR": TEXT + b".\r"}
    for service in ("mx-tls", "login"):
        for name, sent in steps.items():
            state = name.split("-")[0]
            for how, words in (("notify", [NOTIFY]), ("FIN", [FIN, ENDS]), ("RST", [RST]),
                               ("garbage", [CLEAR(b"\r\n.\r\nQUIT\r\n"), ENDS]),
                               ("alert", [CLEAR(b"\x15\x03\x03\x00\x02\x02\x50"), ENDS]),
                               ("empty-record", [CLEAR(b"\x17\x03\x03\x00\x00"), ENDS]),
                               ("long-record", [CLEAR(b"\x17\x03\x03\xff\xff" + b"x" * 70000), ENDS]),
                               ("half-record", [CLEAR(b"\x17\x03\x03\x40"), FIN, ENDS])):
                yield C(f"{service}-{name}-{how}", "T005", service, state, ([sent] if sent else []) + words)
    for how, words in (("notify", [NOTIFY]), ("FIN", [FIN, ENDS]), ("RST", [RST])):
        yield C(f"after-the-end-{how}", "T005", "mx-tls", "data", [TEXT + DOT, "250"] + words, arrives=[TEXT])
        yield C(f"with-the-end-{how}", "T005", "mx-tls", "data", [TEXT + DOT] + words, maybe=[TEXT])


def wrong_protocol():
    """T017: browsers, handshakes and other protocols on these ports."""
    talk = {"GET": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST": b"POST /<script>{mark} HTTP/1.1\r\nHost: x\r\n\r\n",
            "HEAD": b"HEAD / HTTP/1.0\r\n\r\n", "PUT": b"PUT /x HTTP/1.1\r\n\r\n", "OPTIONS": b"OPTIONS * HTTP/1.1\r\n\r\n",
            "CONNECT": b"CONNECT mail:25 HTTP/1.1\r\n\r\n", "DELETE": b"DELETE / HTTP/1.1\r\n\r\n", "h2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "lower": b"post / HTTP/1.1\r\n\r\n"}
    for name, data in talk.items():
        for service in ("mx", "sub", "subs", "mx-tls"):
            if service == "mx" or name in ("POST", "h2"):
                yield C(f"{service}-{name}", "T017", service, "greeted", [data + EVIL, "554 5.5.1", CLOSED])
    yield C("POST-after-EHLO", "T017", "mx", "hello", [talk["POST"] + EVIL, "554 5.5.1", CLOSED])
    yield C("POST-in-a-transaction", "T017", "mx", "rcpt", [talk["POST"] + EVIL, "554 5.5.1", CLOSED])
    for name, data in (("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500), ("TLS-one-byte", b"\x16")):
        for service in ("mx", "sub"):
            yield C(f"{service}-{name}", "T017", service, "greeted", [data, "554 5.5.2", CLOSED])
    for name, data in (("IMAP", b"a1 CAPABILITY\r\n"), ("POP3", b"CAPA\r\n"), ("FTP", b"USER x\r\n"),
                       ("LHLO", b"LHLO client.test\r\n"), ("SIP", b"INVITE sip:x@y SIP/2.0\r\n"),
                       ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"), ("XCLIENT", b"XCLIENT ADDR=10.0.0.1 LOGIN=root\r\n"),
                       ("XFORWARD", b"XFORWARD NAME=x\r\n"), ("PROXY", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
                       ("TURN", b"TURN\r\n"), ("ETRN", b"ETRN example.test\r\n"), ("SEND", b"SEND FROM:<a@b>\r\n"),
                       ("SOML", b"SOML FROM:<a@b>\r\n"), ("SAML", b"SAML FROM:<a@b>\r\n"), ("DEBUG", b"DEBUG\r\n"), ("WIZ", b"WIZ\r\n")):
        yield C(f"{name}-is-no-command", "T015" if name in ("XCLIENT", "PROXY", "XFORWARD") else "T017", "mx", "hello",
                [data, "500 5.5.1|500 5.5.2|502 5.5.1|550|503"] + BYE)


CASES = [*injected(), *forgotten(), *endings(), *wrong_protocol()]
