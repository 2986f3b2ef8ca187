"""T006 and RFC 5321 4.5.3: what is at a limit is taken, one more is refused, and both leave the session whole."""
from case import BYE, C, DATA, DOT, GOES_ON, LAST, MAIL, RCPT, TEXT, whole

L63 = b"d" * 63


def domain(n):
    """A domain of n octets."""
    whole_labels, rest = divmod(n, 64)
    labels = [L63] * whole_labels + ([b"e" * rest] if rest else [])
    return b".".join(labels) if rest else b".".join(labels[:-1] + [b"d" * 62 + b"x"])


def sizes():
    yield C("local-64", "T006", "mx", "hello", whole(mail=b"MAIL FROM:<" + b"a" * 64 + b"@b.example>\r\n") + BYE, arrives=[TEXT])
    yield C("local-65", "T006", "mx", "hello", [b"MAIL FROM:<" + b"a" * 65 + b"@b.example>\r\n", "501 5.1.7|553"] + GOES_ON, arrives=[TEXT])
    yield C("quoted-local-64", "T006", "mx", "hello", [b'MAIL FROM:<"' + b" " * 64 + b'"@b.example>\r\n', "250"] + BYE)
    yield C("quoted-local-65", "T006", "mx", "hello", [b'MAIL FROM:<"' + b" " * 65 + b'"@b.example>\r\n', "501"] + GOES_ON, arrives=[TEXT])
    yield C("escaped-local-64", "T006", "mx", "hello", [b'MAIL FROM:<"' + b'\\"' * 64 + b'"@b.example>\r\n', "250|501"] + BYE)
    yield C("label-63", "T006", "mx", "hello", [b"MAIL FROM:<a@" + L63 + b".example>\r\n", "250"] + BYE)
    yield C("label-64", "T006", "mx", "hello", [b"MAIL FROM:<a@d" + L63 + b".example>\r\n", "501 5.1.7"] + GOES_ON, arrives=[TEXT])
    for n in (200, 252):  # RFC 5321 4.5.3.1.3: the path with its brackets has 256
        yield C(f"domain-{n}", "T006", "mx", "hello", [b"MAIL FROM:<a@" + domain(n) + b">\r\n", "250"] + BYE)
    for n in (253, 254, 255, 256, 300, 1000):
        yield C(f"domain-{n}", "T006", "mx", "hello", [b"MAIL FROM:<a@" + domain(n) + b">\r\n", "501"] + GOES_ON, arrives=[TEXT])
        yield C(f"RCPT-domain-{n}", "T006", "mx", "mail", [b"RCPT TO:<a@" + domain(n) + b">\r\n", "501|550"] + GOES_ON, arrives=[TEXT])
    for n in (512, 1000, 2048):
        yield C(f"command-{n}", "T006", "mx", "hello", [b"NOOP " + b"x" * (n - 7) + b"\r\n", "250"] + BYE)
    for n in (20000, 60000):
        for service in ("mx", "mx-tls", "sub"):
            yield C(f"{service}-command-{n}", "T006", service, "hello", [b"NOOP " + b"x" * (n - 7) + b"\r\n", "500 5.5.2|500 5.5.6", b"NOOP\r\n", "250"] + BYE)
        yield C(f"command-in-a-transaction-{n}", "T006", "mx", "rcpt",
                [b"NOOP " + b"x" * (n - 7) + b"\r\n", "500", DATA, "354", TEXT + DOT, "250"] + BYE, arrives=[TEXT])
        yield C(f"MAIL-{n}", "T006", "mx", "hello", [b"MAIL FROM:<" + b"x" * n + b"\r\n", "500|501"] + GOES_ON, arrives=[TEXT])
        yield C(f"EHLO-{n}", "T006", "mx", "greeted", [b"EHLO " + b"x" * n + b"\r\n", "500|501", b"EHLO a.test\r\n", "250"] + BYE)
    yield C("spaces-2000", "T006", "mx", "hello", [b"MAIL FROM:" + b" " * 1900 + b"<a@b.example>\r\n", "250|501"] + BYE)
    yield C("parameters-1000", "T006", "mx", "hello", [MAIL[:-2] + b" A=1" * 450 + b"\r\n", "555"] + GOES_ON, arrives=[TEXT])
    yield C("route-of-100", "T006", "mx", "hello", [b"MAIL FROM:<" + b",".join([b"@a.example"] * 100) + b":a@b.example>\r\n", "250|501"] + BYE)
    for n in (998, 1000, 2000, 60000):
        yield C(f"text-line-{n}", "T006", "mx", "data", [TEXT + b"x" * n + b"\r\n" + DOT, "250"] + BYE, arrives=[TEXT + b"x" * n + b"\r\n"])
    for n in (65537, 70000, 200000):
        yield C(f"text-line-{n}", "T006", "mx", "data", [TEXT + b"x" * n + b"\r\n" + DOT, "554 5.6.0|500 5.6.0"] + whole() + BYE, arrives=[TEXT])
        yield C(f"header-line-{n}", "T006", "mx", "data", [b"X: " + b"x" * n + b"\r\n\r\n" + DOT, "554 5.6.0|500 5.6.0"] + whole() + BYE, arrives=[TEXT])
    yield C("hundred-recipients", "T091", "mx", "mail", [RCPT * 100] + ["250"] * 100 + [DATA, "354", TEXT + DOT, "250"] + BYE, arrives=[TEXT])
    yield C("thousand-recipients", "T091", "mx", "mail",
            [RCPT * 1002] + ["250"] * 1000 + ["452 4.5.3"] * 2 + [DATA, "354", TEXT + DOT, "250"] + BYE, arrives=[TEXT])


def budgets():
    many = 2000
    yield C("errors", "T091", "mx", "hello", [b"FROB\r\n" * many] + ["500"] * 10 + [LAST("421 4.7.0")])
    yield C("refused-recipients", "T091", "mx", "mail",
            [b"".join(b"RCPT TO:<user%d@example.test>\r\n" % i for i in range(many)), "550"] + ["550|421"] * 19 + [LAST("421 4.7.0")])
    yield C("refused-senders", "T091", "mx", "hello", [b"MAIL FROM:<a@b..example>\r\n" * many] + ["501"] * 10 + [LAST("421 4.7.0")])
    for line in (b"NOOP\r\n", b"RSET\r\n", b"HELP\r\n", b"VRFY ann\r\n", b"EHLO a.test\r\n", b"HELO a.test\r\n"):
        yield C(f"idle-{line[:4].decode()}", "T083", "mx", "hello", [line * many, "2xx", LAST("421 4.7.0")])
    yield C("empty-lines", "T083", "mx", "hello", [b"\r\n" * many] + ["500"] * 10 + [LAST("421 4.7.0")])
    yield C("MAIL-and-RSET", "T083", "mx", "hello", [(MAIL + b"RSET\r\n") * many, "250", "250", LAST("421 4.7.0")])
    yield C("long-lines", "T083", "mx", "hello", [(b"x" * 3000 + b"\r\n") * 300] + ["500"] * 10 + [LAST("421 4.7.0")])


CASES = [*sizes(), *budgets()]
