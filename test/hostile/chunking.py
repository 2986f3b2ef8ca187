"""T001, T003, T004, T005, T090: BDAT (RFC 3030). Octets are counted, and nothing in them is a command."""
from case import (BYE, C, CLEAR, CLOSED, DATA, DOT, ENDS, EVIL, FIN, LAST, MAIL, NOTIFY, QUIT, RCPT, RST, SLOWLY, TEXT,
                  whole)
from smuggling import FAMOUS, shown

BINARY = MAIL[:-2] + b" BODY=BINARYMIME\r\n"
HEAD = b"Subject: {mark}\r\n\r\n"
LONG = 32 - len(b"{mark}")


def size(text):
    """Octets, when {mark} has been filled in."""
    return len(text) + LONG * text.count(b"{mark}")


def chunk(text, last=False):
    return b"BDAT %d%s\r\n" % (size(text), b" LAST" if last else b"") + text


def octets(text):
    return f"250 2.0.0 {size(text)} octets"


def good():
    body = HEAD + b"text\r\n"
    yield C("one-chunk", "T001", "mx", "rcpt", [chunk(body, True), "250 2.0.0"] + BYE, arrives=[body])
    yield C("lower-case", "T001", "mx", "rcpt", [chunk(body, True).replace(b"BDAT", b"bdat").replace(b"LAST", b"last"), "250 2.0.0"] + BYE, arrives=[body])
    yield C("two-chunks", "T001", "mx", "rcpt", [chunk(HEAD), octets(HEAD), chunk(b"text\r\n", True), "250"] + BYE, arrives=[body])
    yield C("an-empty-last-one", "T001", "mx", "rcpt", [chunk(body), "250 2.0.0", b"BDAT 0 LAST\r\n", "250 2.0.0"] + BYE, arrives=[body])
    yield C("only-an-empty-last-one", "T001", "mx", "rcpt", [b"BDAT 0 LAST\r\n", "250"] + BYE, arrives=[b""])
    yield C("empty-ones", "T090", "mx", "rcpt", [b"BDAT 0\r\n" * 5 + chunk(body, True)] + ["250"] * 6 + BYE, arrives=[body])
    yield C("leading-zeros", "T001", "mx", "rcpt", [b"BDAT 0000000004\r\n\r\nxy", "250", b"BDAT 00 LAST\r\n", "250|554"] + BYE, maybe=[b"\r\nxy", b"\r\nxy\r\n"])
    yield C("pipelined", "T001", "mx", "hello", [MAIL + RCPT + chunk(HEAD) + chunk(b"x\r\n") + chunk(b"y\r\n", True) + QUIT, "250", "250", "250", "250",
                                                "250", "221", CLOSED], arrives=[HEAD + b"x\r\ny\r\n"])
    yield C("three-messages", "T001", "mx", "hello", [(MAIL + RCPT + chunk(body, True)) * 3 + QUIT] + ["250", "250", "250"] * 3 + ["221", CLOSED],
            arrives=[body] * 3)
    yield C("after-DATA", "T004", "mx", "hello", whole() + [MAIL, "250", RCPT, "250", chunk(body, True), "250"] + whole() + BYE, arrives=[TEXT, body, TEXT])
    yield C("one-octet-each", "T090", "mx", "rcpt", [b"".join(chunk(bytes([c])) for c in b"Subject: x\r\n\r\n") + b"BDAT 0 LAST\r\n"] + ["250"] * 15 + BYE,
            arrives=[b"Subject: x\r\n\r\n"])
    yield C("slowly", "T083", "mx", "rcpt", [SLOWLY, chunk(b"X: y\r\n\r\nz\r\n"), "250", chunk(HEAD, True), "250"] + BYE, arrives=[b"X: y\r\n\r\nz\r\n" + HEAD])
    big = HEAD + (b"x" * 70 + b"\r\n") * 30000
    yield C("two-megabytes", "T001", "mx", "rcpt", [chunk(big, True), "250"] + BYE, arrives=[big])
    yield C("login", "T001", "login", "rcpt", [chunk(b"From: <ann@example.test>\r\nTo: x@example.test\r\nDate: Mon, 02 Jan 2023 10:00:00 +0000\r\n"
                                                   b"Message-ID: <{mark}@x>\r\n" + HEAD, True), "250"] + BYE,
            arrives=[b"From: <ann@example.test>\r\nTo: x@example.test\r\nDate: Mon, 02 Jan 2023 10:00:00 +0000\r\nMessage-ID: <{mark}@x>\r\n" + HEAD])
    plain = b"Subject: cut\r\n\r\n"
    group = chunk(plain) + chunk(b"text\r\n", True)
    for cut in range(1, len(group)):
        yield C(f"cut-{cut}", "T001", "mx", "rcpt", [group[:cut], group[cut:], "250", "250"] + BYE, arrives=[plain + b"text\r\n"])


def counted():
    """What would end a DATA ends nothing here, nor on the way to the store (T003)."""
    for name, text in (("end-of-data", b"a\r\n.\r\n" + EVIL), ("dots", b"a\r\n..\r\n.\r\n.x\r\n"), ("commands", MAIL + RCPT + DATA + QUIT),
                       ("BDAT", b"BDAT 10 LAST\r\n" + EVIL), ("STARTTLS", b"STARTTLS\r\n"), ("http", b"POST / HTTP/1.1\r\n\r\n")):
        body = HEAD + text.replace(b"{me}", b"x@example.test")
        yield C(f"is-text-{name}", "T003", "mx", "rcpt", [chunk(body, True), "250"] + BYE, arrives=[body])
        yield C(f"is-dropped-{name}", "T004", "mx", "hello", [chunk(body, True), "503 5.5.1"] + whole() + BYE, arrives=[TEXT])
        yield C(f"is-dropped-in-mail-{name}", "T004", "mx", "mail", [chunk(body, True), "503 5.5.1|554 5.5.1", b"RSET\r\n", "250"] + whole() + BYE, arrives=[TEXT])
        yield C(f"is-dropped-before-EHLO-{name}", "T004", "mx", "greeted", [chunk(body), "503", b"EHLO a.test\r\n", "250"] + whole() + BYE, arrives=[TEXT])
        yield C(f"is-dropped-after-refusals-{name}", "T004", "mx", "mail",
                [b"RCPT TO:<nobody@example.test>\r\n", "550", chunk(body, True), "554 5.5.1|503", b"RSET\r\n", "250"] + whole() + BYE, arrives=[TEXT])
        yield C(f"is-dropped-without-login-{name}", "T004", "subs", "hello", [chunk(body, True), "503|530"] + BYE)
    yield C("exactly-so-many", "T001", "mx", "rcpt", [b"BDAT 4\r\nabcdNOOP\r\n", "250", "250", b"RSET\r\n", "250"] + BYE)
    yield C("more-than-said-is-commands", "T001", "mx", "rcpt", [b"BDAT 4\r\nabcdefgh\r\n", "250", "500", b"RSET\r\n", "250"] + BYE)


def framing():
    """A size that is none: nobody knows where the next command begins, so there is none."""
    for form in (b"", b" ", b"-1", b"-0", b"+5", b"0x5", b"5x", b"x5", b"5.0", b"1e3", b"5,0", b"5 5", b"LAST", b"LAST 5", b"5 LASTX", b"5 LAS", b"5 LAST LAST",
                 b"5 FIRST", b"5LAST", b"5\tLAST", b"\t5", b"=5", b"five", b"5;", b"0b1", b"\xd9\xa5", b"5-", b"(5)", b"5 LAST=1"):
        yield C(f"size-{form.decode('latin-1')}", "T001", "mx", "rcpt", [b"BDAT " + form + b"\r\nabcde" + EVIL, "501 5.5.4", CLOSED])
    for form in (b"18446744073709551615", b"18446744073709551616", b"99999999999999999999999999", b"9223372036854775807", b"9223372036854775808",
                 b"4294967295", b"4294967296", b"4294967301", b"18446744073709551621", b"1" * 500, b"104923137"):
        for last in (b"", b" LAST"):
            yield C(f"huge-{form[:30].decode()}{last.decode()}", "T009", "mx", "rcpt", [b"BDAT " + form + last + b"\r\nabcde" + EVIL, "552 5.3.4", CLOSED])
            yield C(f"huge-behind-{form[:30].decode()}{last.decode()}", "T009", "mx", "rcpt",
                    [b"BDAT 5\r\nX: yz", "250", b"BDAT " + form + last + b"\r\nabcde" + EVIL, "552 5.3.4", CLOSED])
        yield C(f"huge-without-MAIL-{form[:30].decode()}", "T009", "mx", "hello", [b"BDAT " + form + b"\r\nabcde" + EVIL, "552 5.3.4|503", CLOSED])
    for kind, bad in (("LF", b"\n"), ("CR", b"\r"), ("NUL", b"\0"), ("CRCRLF", b"\r\r\n")):
        yield C(f"line-ends-{kind}", "T001", "mx", "rcpt", [b"BDAT 5" + bad + b"abcde" + EVIL, "554 5.5.2", CLOSED])


def text():
    """RFC 3030 3: without BINARYMIME the text has lines, and the same lines as in DATA."""
    for end in FAMOUS:
        body = HEAD + b"x" + end + EVIL.replace(b"{me}", b"x@example.test")
        yield C(f"lines-{shown(end)}", "T001", "mx", "rcpt", [chunk(body, True), "554 5.6.0"] + whole() + BYE, arrives=[TEXT])
        yield C(f"lines-in-the-first-{shown(end)}", "T001", "mx", "rcpt",
                [chunk(body), "554 5.6.0", chunk(b"more\r\n"), "554 5.6.0|503", chunk(b"last\r\n", True), "554 5.6.0|503", b"RSET\r\n", "250"] + whole() + BYE,
                arrives=[TEXT])
        yield C(f"lines-cut-{shown(end)}", "T001", "mx", "rcpt",
                [chunk(HEAD + b"x" + end[:1]), "250|554 5.6.0", chunk(end[1:] + b"x\r\n", True), "554 5.6.0", RCPT, "503"] + whole() + BYE, arrives=[TEXT])
    yield C("CR-and-LF-in-two-chunks", "T001", "mx", "rcpt", [chunk(HEAD + b"x\r"), "250", chunk(b"\ny\r\n", True), "250"] + BYE, arrives=[HEAD + b"x\r\ny\r\n"])
    yield C("CR-at-the-very-end", "T001", "mx", "rcpt", [chunk(HEAD + b"x\r"), "250", b"BDAT 0 LAST\r\n", "554 5.6.0"] + whole() + BYE, arrives=[TEXT])
    yield C("last-line-without-end", "T001", "mx", "rcpt", [chunk(HEAD + b"x", True), "250|554"] + BYE, maybe=[HEAD + b"x", HEAD + b"x\r\n"])
    yield C("long-line", "T006", "mx", "rcpt", [chunk(HEAD + b"x" * 70000 + b"\r\n", True), "554 5.6.0"] + whole() + BYE, arrives=[TEXT])
    yield C("long-line-over-chunks", "T006", "mx", "rcpt",
            [chunk(HEAD), "250", chunk(b"x" * 40000), "250", chunk(b"x" * 40000), "554 5.6.0", chunk(b"\r\n", True), "554|503", b"RSET\r\n", "250"] + whole() + BYE,
            arrives=[TEXT])
    yield C("loop", "T004", "mx", "rcpt", [chunk(b"Received: from a by b; Mon, 02 Jan 2023 10:00:00 +0000\r\n" * 101 + HEAD, True), "554 5.4.6", RCPT, "503"] +
            whole() + BYE, arrives=[TEXT])
    yield C("binary-is-for-BDAT", "T004", "mx", "hello", [BINARY, "250", RCPT, "250", DATA, "503 5.5.1", b"RSET\r\n", "250"] + whole() + BYE, arrives=[TEXT])
    yield C("binary-takes-every-octet", "T001", "mx", "hello",
            [BINARY, "250", RCPT, "250", chunk(HEAD + b"a\nb\rc\r\n.\r\n" + bytes(range(1, 256)) + b"\r\n", True), "250"] + BYE,
            arrives=[HEAD + b"a\nb\rc\r\n.\r\n" + bytes(range(1, 256)) + b"\r\n"])
    yield C("binary-does-not-stay", "T004", "mx", "hello",
            [BINARY, "250", b"RSET\r\n", "250", MAIL, "250", RCPT, "250", chunk(HEAD + b"a\nb\r\n", True), "554 5.6.0"] + whole() + BYE, arrives=[TEXT])


def order():
    first = chunk(HEAD)
    nos = "503 5.5.1"
    yield C("then-DATA", "T004", "mx", "rcpt", [first, "250", DATA, nos, b"RSET\r\n", "250"] + whole() + BYE, arrives=[TEXT])
    yield C("then-DATA-then-LAST", "T004", "mx", "rcpt", [first, "250", DATA, nos, chunk(b"x\r\n", True), "503", RCPT, "503"] + whole() + BYE, arrives=[TEXT])
    yield C("then-MAIL", "T004", "mx", "rcpt", [first, "250", MAIL, nos, chunk(b"x\r\n", True), "250"] + BYE, arrives=[HEAD + b"x\r\n"])
    yield C("then-RCPT", "T004", "mx", "rcpt", [first, "250", b"RCPT TO:<{you}>\r\n", nos, chunk(b"x\r\n", True), "250"] + BYE, arrives=[HEAD + b"x\r\n"])
    yield C("then-NOOP", "T004", "mx", "rcpt", [first, "250", b"NOOP\r\n", "250", chunk(b"x\r\n", True), "250"] + BYE, arrives=[HEAD + b"x\r\n"])
    yield C("then-nonsense", "T004", "mx", "rcpt", [first, "250", b"FROB\r\n", "500", chunk(b"x\r\n", True), "250"] + BYE, arrives=[HEAD + b"x\r\n"])
    for name, line in (("RSET", b"RSET\r\n"), ("EHLO", b"EHLO b.test\r\n"), ("HELO", b"HELO b.test\r\n")):
        yield C(f"then-{name}", "T004", "mx", "rcpt", [first, "250", line, "250", chunk(b"x\r\n", True), "503", DATA, "503"] + whole() + BYE, arrives=[TEXT])
    yield C("then-STARTTLS", "T019", "mx", "rcpt", [first, "250", b"STARTTLS\r\nBDAT 3 LAST\r\nx\r\n", "554 5.5.1", CLOSED])
    yield C("then-QUIT", "T102", "mx", "rcpt", [first, "250"] + BYE)
    yield C("after-the-last", "T004", "mx", "rcpt", [chunk(HEAD, True), "250", chunk(b"x\r\n"), "503", b"BDAT 0 LAST\r\n", "503"] + whole() + BYE, arrives=[HEAD, TEXT])
    yield C("behind-DATA-is-text", "T004", "mx", "data", [TEXT + b"BDAT 3 LAST\r\nabc\r\n" + DOT, "250"] + BYE, arrives=[TEXT + b"BDAT 3 LAST\r\nabc\r\n"])
    yield C("after-HELO", "T004", "mx", "greeted", [b"HELO a.test\r\n", "250", MAIL, "250", RCPT, "250", chunk(HEAD, True), "250|500|502|503"] + BYE, maybe=[HEAD])


def ends():
    for service in ("mx", "mx-tls"):
        for name, sent in (("after-the-size", b"BDAT 100\r\n"), ("within", b"BDAT 100000\r\n" + b"x" * 50000), ("between", chunk(HEAD)),
                           ("one-octet-short", b"BDAT 7 LAST\r\nX: y\r\n"), ("in-LAST", b"BDAT 5 LAS"), ("after-LAST", b"BDAT 5 LAST\r")):
            ways = [("FIN", [FIN, ENDS]), ("RST", [RST])]
            if service == "mx-tls":
                ways += [("notify", [NOTIFY]), ("garbage", [CLEAR(b"\r\n.\r\nQUIT\r\n"), ENDS]), ("alert", [CLEAR(b"\x15\x03\x03\x00\x02\x02\x50"), ENDS])]
            for how, words in ways:
                yield C(f"{service}-{name}-{how}", "T005", service, "rcpt", [sent] + words)
    yield C("LAST-and-FIN", "T102", "mx", "rcpt", [chunk(HEAD, True), FIN, "250", CLOSED], arrives=[HEAD])
    yield C("LAST-and-RST", "T102", "mx", "rcpt", [chunk(HEAD, True), RST], maybe=[HEAD])
    yield C("empty-for-ever", "T090", "mx", "rcpt", [b"BDAT 0\r\n" * 5000, "250", LAST("421 4.7.0")])
    yield C("refused-for-ever", "T090", "mx", "hello", [b"BDAT 1\r\nx" * 5000, "503", LAST("421 4.7.0")])


CASES = [one for group in (good, counted, framing, text, order, ends) for one in group()]
for one in CASES:
    one.name = one.name.replace("-", "-BDAT-", 1)
