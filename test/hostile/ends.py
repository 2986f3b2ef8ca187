"""T005, T102: clients that go away, in every state and at every byte of a command. Nothing half is ever delivered."""
from case import BYE, C, CLOSED, DATA, DOT, ENDS, FIN, GOES_ON, MAIL, QUIT, RCPT, RST, SLOWLY, TEXT, whole

HALVES = {
    "fresh": [b"", b"E", b"EHLO a.test\r"],
    "greeted": [b"", b"EHLO", b"EHLO a.test\r"],
    "hello": [b"", b"M", b"MAIL FROM:<a@b.example>", b"MAIL FROM:<a@b.example>\r", b"NOOP\r", b"\r"],
    "mail": [b"", b"RCPT TO:<{me}>", b"RCPT TO:<{me}>\r"],
    "rcpt": [b"", b"DATA", b"DATA\r", b"RSET"],
    "data": [b"", b"Subj", TEXT[:40], TEXT, TEXT + b".", TEXT + b".\r", TEXT[:-2], TEXT[:-1], TEXT + b"..\r\n", TEXT + b".\r\r",
             TEXT + b"x" * 70000, TEXT + (b"y" * 70 + b"\r\n") * 5000],
}


def cases():
    for state, halves in HALVES.items():
        for i, half in enumerate(halves):
            for name, words in (("FIN", [FIN, ENDS]), ("RST", [RST]), ("both", [FIN, RST])):
                yield C(f"{state}-{i}-{name}", "T005", "mx", state, ([half] if half else []) + words)
    for service in ("sub", "subs", "login", "mx-tls"):
        for state in ("greeted", "hello") if service != "login" else ("hello", "mail", "rcpt", "data"):
            yield C(f"{service}-{state}-RST", "T005", service, state, [RST])
    everything = b"EHLO a.test\r\n" + MAIL + RCPT + DATA + TEXT + DOT
    answers = ["220", "250", "250", "250", "354", "250"]
    yield C("all-at-once-and-FIN", "T102", "mx", "fresh", [everything, FIN] + answers + [CLOSED], arrives=[TEXT])
    yield C("all-at-once-QUIT-and-FIN", "T102", "mx", "fresh", [everything + QUIT, FIN] + answers + ["221", CLOSED], arrives=[TEXT])
    yield C("all-at-once-and-RST", "T102", "mx", "fresh", [everything, RST], maybe=[TEXT])
    yield C("the-dot-and-RST", "T102", "mx", "data", [TEXT + DOT, RST], maybe=[TEXT])
    yield C("the-dot-heard-and-RST", "T102", "mx", "data", [TEXT + DOT, "250", RST], arrives=[TEXT])
    yield C("two-and-a-half", "T102", "mx", "hello",
            [(MAIL + RCPT + DATA + TEXT + DOT) * 2 + MAIL + RCPT + DATA + TEXT, FIN] + ["250", "250", "354", "250"] * 2 +
            ["250", "250", "354", ENDS], arrives=[TEXT, TEXT])
    yield C("after-QUIT-RST", "T102", "mx", "hello", whole() + [QUIT, RST], arrives=[TEXT])
    short = b"Subject: {mark}\r\n\r\n"
    for service in ("mx", "mx-tls"):
        yield C(f"{service}-byte-by-byte", "T083", service, "hello",
                [SLOWLY, b"MAIL FROM:<>\r\n", "250", RCPT, "250", DATA, "354", short + b"..\r\n" + DOT, "250"] + BYE,
                arrives=[short + b".\r\n"])
    for cut in range(1, 30):
        line = MAIL
        yield C(f"cut-{cut}", "", "mx", "hello", [line[:cut], line[cut:], "250"] + GOES_ON, arrives=[TEXT])


CASES = list(cases())
