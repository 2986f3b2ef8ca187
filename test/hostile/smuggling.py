"""T001: a message ends with CR LF . CR LF and a command with CR LF, and nothing else ever does.

CVE-2023-51764 (Postfix), CVE-2023-51765 (Sendmail), CVE-2023-51766 (Exim), and all their relatives.
"""
from case import (BYE, C, CLOSED, DATA, DOT, EVIL, GOES_ON, MAIL, MINE, QUIT, RCPT, SLOWLY, TEXT,
                  whole)

PARTS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b"\n\n", b"\r\r", b"\n\r\n", b"\r\n\n",
         b"\0\r\n", b"\r\n\0", b"\r\0\n", b"\0\n", b"\n\0", b"\r\n\r\r\n", b"\r\0\r\n"]
# What stands around the dot. The one true ending is left out, and so are those that begin with it.
AROUND = [(a, b) for a in PARTS for b in PARTS
          if not (a == b"\r\n" and b.startswith(b"\r\n"))]
FAMOUS = [b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n",
          b"\r\n.\r\r\n", b"\r\r\n.\r\n", b"\n\n.\r\n", b"\r\n\r.\r\n", b"\r\n.\n\r\n"]
HEADER = b"Subject: carrier {mark}"
BODY = b"Subject: carrier {mark}\r\n\r\nbody"
NO = ["554 5.5.2", CLOSED]


def shown(data):
    names = {13: "CR", 10: "LF", 0: "NUL", 46: "dot"}
    return "-".join(names.get(b, chr(b)) for b in data)


def endings():
    """Each combination, in the body and in the header by turns."""
    for i, (a, b) in enumerate(AROUND):
        where = HEADER if i % 3 == 0 else BODY
        yield C(f"end-{shown(a)}-dot-{shown(b)}", "T001", "mx", "data", [where + a + b"." + b + EVIL] + NO)


def famous():
    """The published ones: everywhere, and cut at every byte."""
    for end in FAMOUS:
        for service in ("mx-tls", "login"):
            yield C(f"{service}-{shown(end)}", "T001", service, "data", [BODY + end + EVIL] + NO)
        yield C(f"first-line-{shown(end)}", "T001", "mx", "data", [end + EVIL] + NO)
        yield C(f"header-{shown(end)}", "T001", "mx", "data", [HEADER + end + EVIL] + NO)
        yield C(f"after-a-message-{shown(end)}", "T001", "mx", "hello",
                whole() + [MAIL, "250", RCPT, "250", DATA, "354", BODY + end + EVIL] + NO,
                arrives=[TEXT])
        yield C(f"pipelined-{shown(end)}", "T001", "mx", "hello",
                [MAIL + RCPT + DATA + BODY + end + EVIL, "250", "250", "354"] + NO)
        for cut in range(1, len(end)):
            yield C(f"cut{cut}-{shown(end)}", "T001", "mx", "data",
                    [BODY + end[:cut], end[cut:] + EVIL] + NO)
        yield C(f"slowly-{shown(end)}", "T001", "mx", "data", [BODY, SLOWLY, end + b"x\r\n"] + NO)


def single():
    """One wrong byte anywhere in a text, without any dot."""
    for name, bad in (("LF", b"\n"), ("CR", b"\r"), ("NUL", b"\0"), ("CR-NUL-LF", b"\r\0\n"), ("LF-CR", b"\n\r")):
        for where, before, after in (("first", b"", b"Subject: x\r\n"), ("name", b"Sub", b"ject: x\r\n"),
                                     ("colon", b"Subject:", b" x\r\n"), ("fold", b"Subject: x\r\n ", b"y\r\n"),
                                     ("body", BODY, b"\r\n"), ("last", BODY + b"\r\n", b".\r\n")):
            yield C(f"{name}-in-{where}", "T001", "mx", "data", [before + bad + after + DOT + EVIL] + NO)
        yield C(f"{name}-after-64K", "T001", "mx", "data",
                [BODY + b"\r\n" + (b"x" * 70 + b"\r\n") * 1000 + bad + b"\r\n" + DOT + EVIL] + NO)
    yield C("CR-at-the-end-of-a-full-buffer", "T001", "mx", "data",
            [BODY + b"\r\n" + b"x" * 16383 + b"\r", b"x\r\n" + DOT + EVIL] + NO)


def legal():
    """What looks like it and is good: each must arrive as it is, byte for byte."""
    texts = {
        "dots": [b"..\r\n", b".\r\n"], "dot-space": [b". \r\n", b" \r\n"], "dot-tab": [b".\t\r\n", b"\t\r\n"],
        "many-dots": [b"." * 999 + b"\r\n", b"." * 998 + b"\r\n"], "dot-text": [b".x.\r\n", b"x.\r\n"],
        "dot-in-line": [b"a.\r\n", b"a.\r\n"], "empty-lines": [b"\r\n\r\n\r\n", b"\r\n\r\n\r\n"],
        "dot-dot-empty": [b"..\r\n\r\n..\r\n", b".\r\n\r\n.\r\n"],
        "controls": [bytes(range(1, 10)) + b"\v\f" + bytes(range(14, 32)) + b"\x7f\r\n"] * 2,
        "eight-bit": [bytes(range(128, 256)) + b"\r\n"] * 2, "utf8-separators": ["\u2028\u0085\u2029\r\n".encode()] * 2,
    }
    for name, (sent, kept) in texts.items():
        yield C(f"legal-{name}", "T001", "mx", "data", [TEXT + sent + DOT, "250 2.0.0"] + GOES_ON,
                arrives=[TEXT + kept, TEXT])
        yield C(f"legal-{name}-slowly", "T001", "mx", "data", [TEXT, SLOWLY, sent[-40:] + DOT, "250 2.0.0"] + BYE,
                arrives=[TEXT + (kept if len(sent) <= 40 else kept[-40:] if sent[-40:-39] != b"." else kept[-39:])])
    for cut in range(1, 5):
        end = b"\r\n.\r\n"
        yield C(f"legal-end-cut{cut}", "T001", "mx", "data",
                [TEXT + b"x" + end[:cut], end[cut:], "250 2.0.0"] + BYE, arrives=[TEXT + b"x\r\n"])
        yield C(f"legal-end-with-next-cut{cut}", "T001", "mx", "data",
                [TEXT + b"x" + end[:cut], end[cut:] + MAIL + b"RSET\r\n", "250 2.0.0", "250", "250"] + BYE,
                arrives=[TEXT + b"x\r\n"])
    yield C("legal-empty-message", "T001", "mx", "data", [DOT, "250 2.0.0"] + BYE, arrives=[b""])
    yield C("legal-only-a-dot", "T001", "mx", "data", [b"..\r\n" + DOT, "250 2.0.0"] + BYE, arrives=[b".\r\n"])
    yield C("legal-no-header", "T001", "mx", "data", [b"\r\n{mark}\r\n" + DOT, "250 2.0.0"] + BYE,
            arrives=[b"\r\n{mark}\r\n"])
    yield C("legal-login", "T001", "login", "data", [MINE + b"..\r\n" + DOT, "250 2.0.0"] + BYE,
            arrives=[MINE + b".\r\n"])


COMMANDS = [("EHLO", "greeted", b"EHLO client.test"), ("HELO", "greeted", b"HELO client.test"),
            ("MAIL", "hello", MAIL[:-2]), ("RCPT", "mail", RCPT[:-2]), ("DATA", "rcpt", b"DATA"),
            ("RSET", "rcpt", b"RSET"), ("NOOP", "hello", b"NOOP x"), ("VRFY", "hello", b"VRFY ann"),
            ("QUIT", "hello", b"QUIT"), ("STARTTLS", "hello", b"STARTTLS")]
BREAKS = [("LF", b"\n"), ("CR", b"\r"), ("NUL", b"\0"), ("LFLF", b"\n\n"), ("CRCR", b"\r\r"), ("LFCR", b"\n\r"),
          ("CR-NUL", b"\r\0"), ("NUL-LF", b"\0\n"), ("CRCRLF", b"\r\r\n")]


def commands():
    for name, state, line in COMMANDS:
        for kind, bad in BREAKS:
            yield C(f"{name}-ends-{kind}", "T001", "mx", state, [line + bad + MAIL + RCPT + DATA + EVIL] + NO)
        for kind, bad in BREAKS[:3]:
            yield C(f"{name}-holds-{kind}", "T001", "mx", state,
                    [line[:3] + bad + line[3:] + b"\r\n" + EVIL] + NO)
            yield C(f"{name}-begins-{kind}", "T001", "mx", state, [bad + line + b"\r\n" + EVIL] + NO)
    for kind, bad in BREAKS:
        yield C(f"address-holds-{kind}", "T001", "mx", "hello",
                [b"MAIL FROM:<ann" + bad + b"RCPT@sender.example>\r\n" + EVIL] + NO)
        yield C(f"quoted-address-holds-{kind}", "T001", "mx", "mail",
                [b'RCPT TO:<"a' + bad + b'b"@example.test>\r\n' + EVIL] + NO)
        yield C(f"parameter-holds-{kind}", "T001", "mx", "hello",
                [MAIL[:-2] + b" BODY=8BIT" + bad + b"MIME\r\n" + EVIL] + NO)
        yield C(f"login-PLAIN-{kind}", "T001", "subs", "hello", [b"AUTH PLAIN", bad + b"AGEAYg==\r\nNOOP\r\n"] + NO)
        yield C(f"login-answer-{kind}", "T001", "subs", "hello",
                [b"AUTH LOGIN\r\n", "334", b"YW5u" + bad + b"YW5u\r\nNOOP\r\n"] +
                (["501 5.5.2", "250"] if bad == b"\0" else NO))
    yield C("EHLO-slowly", "T001", "mx", "greeted", [SLOWLY, b"EHLO client.test\n", *NO])
    yield C("CR-cut-LF-is-a-line-end", "T001", "mx", "hello", [b"NOOP\r", b"\n", "250"] + GOES_ON, arrives=[TEXT])
    yield C("QUIT-behind-the-end", "T001", "mx", "data", [TEXT + DOT + QUIT + EVIL, "250", "221", CLOSED],
            arrives=[TEXT])


CASES = [*endings(), *famous(), *single(), *legal(), *commands()]
