"""T012, T028, T031: AUTH (RFC 4954) in the hands of those who do not know the password."""
from base64 import b64encode

from case import B64, BYE, C, CLOSED, LAST, MAIL, MINE, whole

GOOD = [B64(b"\0{me}\0{pass}")]
WRONG = "535 5.7.8"
BROKEN = "501 5.5.2"
SQL = [b"'", b"''", b'"', b"\\", b"' OR '1'='1", b"'; DROP TABLE account; --", b'") OR 1=1 --', b"*", b"*)(uid=*", b"%", b"_",
       b"a%", b"ann@example.test'--", b"ann@example.test\\", b"(|(uid=*))", b"$1", b"?", b":a", b"${run{id}}", b"%u%n",
       b"{{7*7}}", b"$(id)", b"`id`", b"../../etc/passwd", b"|id", b"ann@example.test\r\nQUIT", b"ann@example.test\nx=y",
       b"ann@example.test\x1b[2J", b"ann@example.test\x7f", b"\xc3\xa4@example.test", "ann@example.test\u202e".encode(),
       b"ann@example.test ", b" ann@example.test", b"ann@example.test.", b"ann@@example.test", b"ann", b"@example.test", b"@",
       b"root", b"x" * 255, b"ann%example.test", b"=", b"<ann@example.test>"]
NOT_BASE64 = [b"!", b"====", b"=A", b"A", b"AA=", b"AAA", b"AAAAA", b"AA==AA==", b"AGEA Yg==", b"AGEAYg", b"AGEAYg=", b"AGEAYg===", b"AGEAYg==x",
              b"AGEAY\tg==", b"AGEA*g==", b"-_-_", b"AGEAYh==", b"\xff\xff\xff\xff"]
BAD_PLAIN = {"nothing": b"", "one-NUL": b"\0", "no-NUL": b"abc", "two-parts": b"ann\0pass", "no-name": b"\0\0pass", "no-password": b"\0ann\0",
             "three-NULs": b"\0ann\0pa\0ss", "NUL-at-the-end": b"\0ann\0pass\0", "only-NULs": b"\0\0\0\0", "not-UTF8": b"\0\xff\xfe\0pass",
             "overlong-UTF8": b"\0\xc0\x80\0pass", "surrogate": b"\0\xed\xa0\x80\0pass", "long-name": b"\0" + b"a" * 5000 + b"\0pass"}


def again(name, threat, script, **kw):
    """After it a right login works, and a message goes through."""
    return C(name, threat, "subs", "hello", script + [b"AUTH PLAIN\r\n", "334", *GOOD, "235 2.7.0"] +
             whole(MINE, b"MAIL FROM:<{me}>\r\n") + BYE, arrives=[MINE], **kw)


def names():
    for i, name in enumerate(SQL):
        plain = b"AUTH PLAIN " + b64encode(b"\0" + name + b"\0x' OR '1'='1") + b"\r\n"
        yield C(f"PLAIN-{i}", "T012", "subs", "hello", [plain, f"{WRONG}|{BROKEN}"] + BYE)
        yield C(f"LOGIN-{i}", "T012", "subs", "hello",
                [b"AUTH LOGIN\r\n", "334", B64(name), "334", B64(b"' OR 1=1"), WRONG] + BYE)
    yield again("as-another", "T042", [b"AUTH PLAIN\r\n", "334", B64(b"{you}\0{me}\0{pass}"), WRONG])
    yield again("as-another-with-the-right-password", "T042", [b"AUTH PLAIN\r\n", "334", B64(b"root\0{me}\0{pass}"), WRONG])
    yield again("password-of-another", "T031", [b"AUTH PLAIN\r\n", "334", B64(b"\0{you}\0{pass}"), WRONG])
    yield C("as-myself", "T042", "subs", "hello", [b"AUTH PLAIN\r\n", "334", B64(b"{me}\0{me}\0{pass}"), "235 2.7.0"] + BYE)
    for name in (b"{me}", b"nobody@example.test", b"nobody@elsewhere.example"):
        yield C(f"unknown-and-known-sound-alike-{name.decode()}", "T031", "subs", "hello",
                [b"AUTH PLAIN\r\n", "334", B64(b"\0" + name + b"\0wrong"), "535 5.7.8 wrong name or password"] + BYE)


def broken():
    for i, bad in enumerate(NOT_BASE64):
        yield again(f"initial-not-base64-{i}", "T028", [b"AUTH PLAIN " + bad + b"\r\n", f"{BROKEN}|{WRONG}|501 5.5.4"])
        yield C(f"answer-not-base64-{i}", "T028", "subs", "hello",
                [b"AUTH PLAIN\r\n", "334", bad + b"\r\n", f"{BROKEN}|{WRONG}"] + BYE)
        yield C(f"second-answer-not-base64-{i}", "T028", "subs", "hello",
                [b"AUTH LOGIN\r\n", "334", B64(b"ann"), "334", bad + b"\r\n", f"{BROKEN}|{WRONG}"] + BYE)
    for name, message in BAD_PLAIN.items():
        yield again(f"PLAIN-{name}", "T028", [b"AUTH PLAIN\r\n", "334", B64(message), BROKEN])
        yield C(f"PLAIN-initial-{name}", "T028", "subs", "hello",
                [b"AUTH PLAIN " + (b64encode(message) or b"=") + b"\r\n", BROKEN] + BYE)
    for name, message in (("empty", b""), ("NUL", b"a\0b"), ("not-UTF8", b"\xff"), ("long", b"a" * 5000)):
        yield again(f"LOGIN-name-{name}", "T028", [b"AUTH LOGIN\r\n", "334", B64(message), BROKEN])
    for name, message in (("empty", b""), ("NUL", b"a\0b"), ("long", b"a" * 5000)):
        yield again(f"LOGIN-password-{name}", "T028", [b"AUTH LOGIN\r\n", "334", B64(b"{me}"), "334", B64(message), BROKEN])
    for step in range(2):
        name = [B64(b"{me}"), "334"] if step else []
        yield again(f"cancel-{step}", "T028", [b"AUTH LOGIN\r\n", "334"] + name + [b"*\r\n", "501 5.7.0"])
        yield again(f"cancel-and-more-{step}", "T028", [b"AUTH LOGIN\r\n", "334"] + name + [b"* \r\n", "501"])
        yield again(f"cancel-twice-{step}", "T028", [b"AUTH LOGIN\r\n", "334"] + name + [b"*\r\n", "501", b"*\r\n", "500 5.5.1|500 5.5.2"])
        yield C(f"gone-{step}", "T028", "subs", "hello", [b"AUTH LOGIN\r\n", "334"] + name)
    yield again("other-mechanism-in-between", "T028",
                [b"AUTH LOGIN\r\n", "334", B64(b"{me}"), "334", b"AUTH PLAIN\r\n", "501|535"])
    yield again("the-name-does-not-stay", "T028",
                [b"AUTH LOGIN\r\n", "334", B64(b"{me}"), "334", b"*\r\n", "501", b"AUTH LOGIN\r\n", "334", B64(b"{you}"), "334",
                 B64(b"{pass}"), WRONG])
    for name, line in (("no-mechanism", b"AUTH\r\n"), ("spaces", b"AUTH   \r\n")):
        yield again(name, "T028", [line, "501 5.5.4"])
    for mech in (b"FROB", b"CRAM-MD5", b"DIGEST-MD5", b"NTLM", b"GSSAPI", b"ANONYMOUS", b"SKEY", b"PLAIN-CLIENTTOKEN", b"PLAI", b"PLAINX",
                 b"x" * 200, b"*", b"=", b"%s%n", b"__proto__"):
        yield again(f"mechanism-{mech[:20].decode()}", "T028", [b"AUTH " + mech + b"\r\n", "504 5.5.4"])


def lines():
    """RFC 4954 4: lines up to 12,288 octets; more is refused and the session goes on."""
    for n, spec in ((12288, f"{BROKEN}|{WRONG}"), (12290, "500 5.5.6|500 5.5.2"), (20000, "500 5.5.6|500 5.5.2"), (60000, "500 5.5.6|500 5.5.2")):
        room = n - len(b"AUTH PLAIN \r\n")
        yield again(f"initial-{n}", "T006", [b"AUTH PLAIN " + b"A" * room + b"\r\n", spec])
        yield again(f"answer-{n}", "T006", [b"AUTH PLAIN\r\n", "334", b"A" * (n - 2) + b"\r\n", spec])
        yield again(f"second-answer-{n}", "T006", [b"AUTH LOGIN\r\n", "334", B64(b"{me}"), "334", b"A" * (n - 2) + b"\r\n", spec])
    yield C("long-line-where-AUTH-is-not-offered", "T006", "sub", "hello", [b"AUTH PLAIN " + b"A" * 9000 + b"\r\n", "500|538|503"] + BYE)


FIRSTS = {"nothing": b"", "only-header": b"n,,", "no-header": b"n={me},r=abc", "no-name": b"n,,n=,r=abc", "name-left-out": b"n,,r=abc", "no-nonce": b"n,,n={me}",
          "empty-nonce": b"n,,n={me},r=", "bad-flag": b"x,,n={me},r=abc", "as-another": b"n,a={you},n={me},r=abc", "extension": b"n,,m=x,n={me},r=abc",
          "binding-without-PLUS": b"p=tls-exporter,,n={me},r=abc", "bad-escape": b"n,,n=a=2,r=abc", "open-escape": b"n,,n=a=,r=abc", "NUL": b"n,,n=a\0b,r=abc",
          "comma-nonce": b"n,,n={me},r=a,b,r=c", "control-nonce": b"n,,n={me},r=a\x01b", "not-UTF8": b"n,,n=\xff,r=abc", "long-name": b"n,,n=" + b"a" * 5000 + b",r=abc",
          "long-nonce": b"n,,n={me},r=" + b"a" * 9000, "twice": b"n,,n={me},n={you},r=abc", "order": b"n,,r=abc,n={me}"}
FINALS = {"nothing": b"", "other-nonce": b"c=biws,r=abc,p=YWJj", "no-proof": b"c=biws,r=abc", "bad-base64": b"c=!,r=abc,p=!", "NUL": b"c=biws,r=a\0,p=YWJj", "extension": b"c=biws,r=abc,m=x,p=YWJj",
          "the-first-again": b"n,,n={me},r=abc", "long": b"c=biws,r=" + b"a" * 9000 + b",p=YWJj"}


def scram():
    """T032: what is not exactly a SCRAM message is refused, and the next login is as good as any."""
    for mech in (b"SCRAM-SHA-1", b"SCRAM-SHA-256"):
        word = mech.decode()
        for name, first in FIRSTS.items():
            yield again(f"{word}-first-{name}", "T032", [b"AUTH " + mech + b"\r\n", "334", B64(first), f"{BROKEN}|{WRONG}|500 5.5.6"])
        for name, final in FINALS.items():
            yield again(f"{word}-final-{name}", "T032", [b"AUTH " + mech + b"\r\n", "334", B64(b"n,,n={me},r=abc"), "334", B64(final), f"{BROKEN}|{WRONG}|500 5.5.6"])
            yield C(f"{word}-unknown-{name}", "T031", "subs", "hello",
                    [b"AUTH " + mech + b"\r\n", "334", B64(b"n,,n=nobody@example.test,r=abc"), "334", B64(final), f"{BROKEN}|{WRONG}|500 5.5.6"] + BYE)
        yield again(f"{word}-cancel", "T028", [b"AUTH " + mech + b"\r\n", "334", B64(b"n,,n={me},r=abc"), "334", b"*\r\n", "501 5.7.0"])
        yield again(f"{word}-then-another", "T028", [b"AUTH " + mech + b"\r\n", "334", B64(b"n,,n={me},r=abc"), "334", b"AUTH PLAIN\r\n", f"{BROKEN}|{WRONG}"])
        yield C(f"{word}-gone", "T028", "subs", "hello", [b"AUTH " + mech + b"\r\n", "334", B64(b"n,,n={me},r=abc"), "334"])


def where():
    yield C("before-TLS-PLAIN", "T021", "sub", "hello", [b"AUTH PLAIN AGEAYg==\r\n", "538 5.7.11|530 5.7.0"] + BYE)
    yield C("before-TLS-LOGIN", "T021", "sub", "hello", [b"AUTH LOGIN\r\n", "538 5.7.11|530 5.7.0"] + BYE)
    yield C("before-TLS-MAIL", "T021", "sub", "hello", [MAIL, "530 5.7.0"] + BYE)
    yield C("on-25", "T021", "mx", "hello", [b"AUTH PLAIN AGEAYg==\r\n", "502 5.5.1|503"] + BYE)
    yield C("on-25-in-TLS", "T021", "mx-tls", "hello", [b"AUTH PLAIN AGEAYg==\r\n", "502 5.5.1|503"] + BYE)
    yield C("before-EHLO", "T028", "subs", "greeted", [b"AUTH PLAIN AGEAYg==\r\n", "503"] + BYE)
    yield C("in-a-transaction", "T028", "login", "mail", [b"AUTH PLAIN AGEAYg==\r\n", "503 5.5.1"] + BYE)
    yield C("EHLO-does-not-log-out", "T028", "login", "hello",
            [b"EHLO again.test\r\n", "250"] + whole(MINE, b"MAIL FROM:<{me}>\r\n") + BYE, arrives=[MINE])
    yield C("not-as-somebody-else", "T042", "login", "hello", [b"MAIL FROM:<{you}>\r\n", "553 5.7.1"] + BYE)
    for i, line in enumerate((b"{you}", b"nobody@example.test", b"ann@sender.example", b"@example.test:{you}", b'"{you}"@example.test')):
        yield C(f"not-as-somebody-else-{i}", "T042", "login", "hello", [b"MAIL FROM:<" + line + b">\r\n", "553 5.7.1|550"] + BYE)
    yield C("ten-wrong-and-out", "T029", "subs", "hello",
            [b"AUTH PLAIN AGEAYg==\r\n", WRONG] * 9 + [b"AUTH PLAIN AGEAYg==\r\n", "535|421"] + ["421 4.7.0", CLOSED])
    yield C("cancelled-for-ever", "T028", "subs", "hello", [b"AUTH LOGIN\r\n*\r\n" * 101] + ["334", "501 5.7.0"] * 5 + [LAST("421 4.7.0")])
    yield C("AUTH-parameter-in-MAIL", "T011", "login", "hello",
            [b"MAIL FROM:<{me}> AUTH=a+0Ab\r\n", "501 5.5.4", b"MAIL FROM:<{me}> AUTH=a+00b\r\n", "501", b"MAIL FROM:<{me}> AUTH=+\r\n", "501",
             b"MAIL FROM:<{me}> AUTH=a+0ab\r\n", "501", b"MAIL FROM:<{me}> AUTH=\r\n", "501", b"MAIL FROM:<{me}> AUTH=<>\r\n", "250"] + BYE)


CASES = [*names(), *broken(), *lines(), *scram(), *where()]
