"""T004: every command in every state, with the reply of RFC 5321 4.3.2; and what may be sent in one go (RFC 2920)."""
from case import (BYE, C, CLOSED, DATA, DOT, GOES_ON, MAIL, MINE, QUIT, RCPT, TEXT, whole)

STATES = ["greeted", "hello", "mail", "rcpt", "refused"]
# Rows: the command; then what is said in each of the states above. "refused": MAIL, and a RCPT that was refused.
SHARED = """
EHLO client.test        | 250        250        250        250        250
HELO client.test        | 250        250        250        250        250
EHLO                    | 501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4
HELO                    | 501        501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4
EHLO two names          | 501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4
RSET                    | 250        250_2.0.0  250_2.0.0  250_2.0.0  250_2.0.0
RSET x                  | 501        501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4
NOOP                    | 250        250_2.0.0  250_2.0.0  250_2.0.0  250_2.0.0
NOOP any thing at all   | 250        250_2.0.0  250_2.0.0  250_2.0.0  250_2.0.0
HELP                    | 214        214_2.0.0  214_2.0.0  214_2.0.0  214_2.0.0
HELP MAIL               | 214        214_2.0.0  214_2.0.0  214_2.0.0  214_2.0.0
VRFY ann                | 252        252        252        252        252
VRFY                    | 501        501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4
EXPN list               | 502        502_5.5.1  502_5.5.1  502_5.5.1  502_5.5.1
FROB                    | 500        500_5.5.1  500_5.5.1  500_5.5.1  500_5.5.1
FROB x y                | 500        500_5.5.1  500_5.5.1  500_5.5.1  500_5.5.1
DATA x                  | 503|501    501_5.5.4|503  501_5.5.4  501_5.5.4  501_5.5.4
QUIT x                  | 501        501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4
MAIL                    | 503        501_5.5.4  503_5.5.1  503_5.5.1  503_5.5.1
MAIL FROM               | 503        501_5.5.4  503_5.5.1  503_5.5.1  503_5.5.1
MAIL FROM:              | 503        501        503_5.5.1  503_5.5.1  503_5.5.1
MAIL TO:<a@b.example>   | 503        501_5.5.4  503_5.5.1  503_5.5.1  503_5.5.1
MAIL FROM:<@>           | 503        501_5.1.7|553  503_5.5.1  503_5.5.1  503_5.5.1
MAIL FROM:<{me}>        | 503        250_2.1.0  503_5.5.1  503_5.5.1  503_5.5.1
RCPT                    | 503        503_5.5.1  501_5.5.4  501_5.5.4  501_5.5.4
RCPT TO:                | 503        503_5.5.1  501        501        501
RCPT FROM:<{me}>        | 503        503_5.5.1  501_5.5.4  501_5.5.4  501_5.5.4
RCPT TO:<>              | 503        503_5.5.1  501_5.1.3|553  501_5.1.3|553  501_5.1.3|553
RCPT TO:<{you}>         | 503        503_5.5.1  250_2.1.5  250_2.1.5  250_2.1.5
RCPT TO:<nobody@example.test> | 503  503_5.5.1  550_5.1.1  550_5.1.1  550_5.1.1
DATA                    | 503        503_5.5.1  503_5.5.1|554_5.5.1  354        554_5.5.1
LHLO client.test        | 500        500_5.5.1  500_5.5.1  500_5.5.1  500_5.5.1
"""
# service, then the same table
ONLY = """
mx     STARTTLS x       | 503|501    501_5.5.4  501_5.5.4  501_5.5.4  501_5.5.4
mx     AUTH PLAIN       | 502|503    502_5.5.1|503  502_5.5.1|503  502_5.5.1|503  502_5.5.1|503
mx-tls STARTTLS         | 503        503_5.5.1  503_5.5.1  503_5.5.1  503_5.5.1
login  STARTTLS         | 503        503_5.5.1  503_5.5.1  503_5.5.1  503_5.5.1
login  AUTH PLAIN AGEAYg== | 503     503_5.5.1  503_5.5.1  503_5.5.1  503_5.5.1
login  AUTH LOGIN       | 503        503_5.5.1  503_5.5.1  503_5.5.1  503_5.5.1
"""


def begin(service, state):
    """Steps from "hello" (or the greeting) into the state."""
    if service == "login":
        mail = b"MAIL FROM:<{me}>\r\n"
    else:
        mail = MAIL
    return {"greeted": [], "hello": [], "mail": [mail, "250"], "rcpt": [mail, "250", RCPT, "250"],
            "refused": [mail, "250", b"RCPT TO:<nobody@example.test>\r\n", "550 5.1.1"]}[state]


def rows(table):
    for row in table.strip().split("\n"):
        left, right = row.rsplit(" | ", 1)
        yield left.strip(), [w.replace("_", " ") for w in right.split()]


def after(command, answer, service, state):
    """The state that must follow, proved by what it allows."""
    text, mail = (MINE, b"MAIL FROM:<{me}>\r\n") if service == "login" else (TEXT, MAIL)
    if answer.startswith("354"):
        return [text + DOT, "250 2.0.0"] + BYE, [text]
    if command[:4] in ("EHLO", "HELO") and answer.startswith("250") or command == "RSET":
        return [RCPT, "503", DATA, "503"] + BYE, []
    if state == "rcpt" and command != "RCPT TO:<{you}>":  # the transaction has survived
        return [DATA, "354", text + DOT, "250 2.0.0"] + BYE, [text]
    if state == "greeted":
        return [b"EHLO client.test\r\n", "250"] + (whole(text, mail) if service != "login" else []) + BYE, \
            [] if service == "login" else [text]
    return [b"RSET\r\n", "250 2.0.0"] + whole(text, mail) + BYE, [text]


def matrix():
    table = [("mx mx-tls login", *row) for row in rows(SHARED)]
    table += [(c.split()[0], c.split(None, 1)[1], a) for c, a in rows(ONLY)]
    for services, command, answers in table:
        for service in services.split():
            for state, answer in zip(STATES, answers):
                if state == "greeted" and service == "login":
                    continue  # who has logged in has said EHLO
                then, arrives = after(command, answer, service, state)
                start = "greeted" if state == "greeted" else "hello"
                yield C(f"{service}-{state}-{command}", "T004", service, start,
                        begin(service, state) + [command.encode() + b"\r\n", answer] + then, arrives=arrives)


def errors():
    """After every kind of failure the next transaction starts with MAIL."""
    long = b"x" * 70000 + b"\r\n"
    loop = b"Received: from a by b; Mon, 02 Jan 2023 10:00:00 +0000\r\n" * 101
    for name, text, no in (("long-line", long, "554|500 5.6.0"), ("loop", loop, "554 5.4.6")):
        for then in (RCPT, DATA, b"BDAT 3 LAST\r\nabc", b"RCPT TO:<{you}>\r\n"):
            spec = "503 5.5.1|500 5.5.1" if then.startswith(b"BDAT") else "503 5.5.1"
            if then.startswith(b"BDAT"):
                then = b"BDAT 0 LAST\r\n"
            yield C(f"after-{name}-{then[:4].decode()}-{len(then)}", "T004", "mx", "data",
                    [text + DOT, no, then, spec] + whole() + BYE, arrives=[TEXT])
    for n, bad in enumerate((b"MAIL FROM:<a@b.example> FROB\r\n", b"MAIL FROM:<a@b.example> SIZE=99999999999\r\n",
                             b"MAIL FROM:<a@b..example>\r\n", b"MAIL FROM:<j\xc3\xbc@b.example>\r\n")):
        yield C(f"after-a-refused-MAIL-{n}", "T004", "mx", "hello", [bad, "5xx", RCPT, "503", DATA, "503"] + GOES_ON,
                arrives=[TEXT])
    yield C("nothing-of-one-in-the-next", "T004", "mx", "hello",
            [MAIL, "250", b"RCPT TO:<{you}>\r\n", "250", b"RSET\r\n", "250", MAIL, "250", DATA, "503"] + GOES_ON, arrives=[TEXT])
    yield C("recipients-do-not-stay", "T004", "mx", "hello",
            [MAIL, "250", b"RCPT TO:<{you}>\r\n", "250", DATA, "354", TEXT + DOT, "250", MAIL, "250", RCPT, "250", DATA,
             "354", TEXT + DOT, "250"] + BYE, arrives=[(2, TEXT), TEXT])
    yield C("SMTPUTF8-does-not-stay", "T004", "mx", "hello",
            ["MAIL FROM:<jü@b.example> SMTPUTF8\r\n".encode(), "250", b"RSET\r\n", "250", MAIL, "250",
             "RCPT TO:<jü@example.test>\r\n".encode(), "553 5.6.7"] + GOES_ON, arrives=[TEXT])


def pipelines():
    """RFC 2920: groups that are allowed, and those that are not, whose answers are still exact."""
    def p(name, threat, service, state, script, **kw):
        return C(f"pipe-{name}", threat, service, state, script, **kw)
    yield p("whole", "", "mx", "hello", [MAIL + RCPT + DATA + TEXT + DOT + QUIT, "250", "250", "354", "250", "221", CLOSED],
            arrives=[TEXT])
    yield p("before-the-greeting-is-read", "", "mx", "fresh",
            [b"EHLO client.test\r\n" + MAIL + RCPT + DATA + TEXT + DOT + QUIT, "220", "250", "250", "250", "354", "250", "221",
             CLOSED], arrives=[TEXT])
    yield p("all-refused", "T004", "mx", "hello",
            [MAIL + b"RCPT TO:<nobody@example.test>\r\n" + DATA + DOT + QUIT, "250", "550", "554 5.5.1", "500 5.5.1|500 5.5.2", "221",
             CLOSED])
    yield p("text-behind-a-refused-DATA-is-commands", "T004", "mx", "hello",
            [MAIL + b"RCPT TO:<nobody@example.test>\r\n" + DATA + TEXT + DOT, "250", "550", "554"] + ["500"] * 5 +
            ["500", "500", "500"] + GOES_ON, arrives=[TEXT])
    yield p("one-of-two", "", "mx", "hello",
            [MAIL + b"RCPT TO:<nobody@example.test>\r\n" + RCPT + DATA + TEXT + DOT + QUIT, "250", "550", "250", "354", "250", "221",
             CLOSED], arrives=[TEXT])
    yield p("a-refused-MAIL", "T004", "mx", "hello",
            [b"MAIL FROM:<a@b..example>\r\n" + RCPT + DATA + QUIT, "501 5.1.7|553", "503", "503", "221", CLOSED])
    yield p("three-messages", "", "mx", "hello",
            [(MAIL + RCPT + DATA + TEXT + DOT) * 3 + QUIT] + ["250", "250", "354", "250"] * 3 + ["221", CLOSED], arrives=[TEXT] * 3)
    yield p("RSET-between", "", "mx", "hello", [MAIL + RCPT + b"RSET\r\n" + DATA + QUIT, "250", "250", "250", "503", "221", CLOSED])
    yield p("EHLO-between", "", "mx", "hello", [MAIL + RCPT, b"EHLO b.test\r\n", "250", "250", "250", DATA, "503"] + BYE)
    yield p("behind-QUIT", "", "mx", "hello", [QUIT + MAIL + RCPT, "221 2.0.0", CLOSED])
    yield p("a-hundred-NOOP", "", "mx", "hello", [b"NOOP\r\n" * 100] + ["250 2.0.0"] * 100 + BYE)
    yield p("behind-AUTH-initial", "", "subs", "hello",
            [b"AUTH PLAIN AGEAYg==\r\nNOOP\r\n" + QUIT, "535 5.7.8", "250", "221", CLOSED])
    yield p("behind-AUTH-is-the-answer", "", "subs", "hello",
            [b"AUTH PLAIN\r\nAGEAYg==\r\n" + QUIT, "334", "535 5.7.8", "221", CLOSED])
    yield p("commands-are-no-answer", "", "subs", "hello",
            [b"AUTH LOGIN\r\n" + MAIL + QUIT, "334", "501 5.5.2", "221", CLOSED])
    for cut in range(1, len(MAIL + RCPT)):
        if cut % 5 == 0:
            group = MAIL + b"RCPT TO:<postmaster>\r\n"
            yield p(f"cut{cut}", "", "mx", "hello", [group[:cut], group[cut:], "250", "250"] + BYE)


CASES = [*matrix(), *errors(), *pipelines()]
