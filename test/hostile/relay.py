"""T040: an address is what it says. No way of writing one makes this server carry mail for strangers."""
from case import BYE, C, DATA, MAIL, RCPT, TEXT, whole

# From outside none of these is ours. Those behind "|" need SMTPUTF8 at MAIL.
STRANGE = r"""
joe@elsewhere.example
@example.test:joe@elsewhere.example
@elsewhere.example,@example.test:joe@elsewhere.example
@example.test@elsewhere.example
@example.test:@elsewhere.example:joe@elsewhere.example
joe%elsewhere.example@other.example
joe%elsewhere.example@example.test
joe%elsewhere.example%other.example@example.test
"joe%elsewhere.example"@example.test
elsewhere.example!joe@example.test
elsewhere.example!joe@other.example
other.example!elsewhere.example!joe
"elsewhere.example!joe"@example.test
"joe@elsewhere.example"@example.test
"joe@example.test"@elsewhere.example
"{me}"@example.test
"{me}"@elsewhere.example
joe@elsewhere.example@example.test
joe@example.test@elsewhere.example
joe@@example.test
joe@example.test@
@@example.test
@
""@example.test
"
joe@[127.0.0.1]
joe@[127.1]
joe@[IPv6:::1]
joe@[IPv6:::ffff:127.0.0.1]
joe@[::1]
joe@[127.0.0.1
joe@127.0.0.1]
joe@[]
joe@[localhost]
joe@[example.test]
joe@[x-tag:y]
joe@127.0.0.1
joe@2130706433
joe@0x7f000001
joe@localhost
joe@localhost.localdomain
joe@mail.example.test
joe@example.test.elsewhere.example
joe@elsewhere.example.example.test
joe@xexample.test
joe@example.testx
joe@test
joe@example
joe@example.test.
joe@example.test..
joe@.example.test
joe@example..test
joe@example.test:25
joe@example.test/x
joe@example.test#x
joe@example.test?x
joe@example.test,joe@elsewhere.example
joe@elsewhere.example,{me}
{me},joe@elsewhere.example
{me};joe@elsewhere.example
{me} joe@elsewhere.example
{me}><joe@elsewhere.example
{me}(x)
(x){me}
joe(@example.test)@elsewhere.example
"joe\"@example.test\""@elsewhere.example
joe\@elsewhere.example@example.test
joe@elsewhere.example\@example.test
joe@elsewhere.example/../@example.test
|id@example.test
/etc/passwd@example.test
"|/bin/sh -c id"@example.test
"/dev/null"@example.test
:include:/etc/passwd@example.test
":include:/etc/passwd"@example.test
../../etc/passwd@example.test
-oQ/tmp@example.test
"-oQ/tmp -X/tmp/x"@elsewhere.example
`id`@example.test
$(id)@example.test
${run{id}}@example.test
%{run{id}}@example.test
{{7*7}}@example.test
%n%n%n@example.test
'@example.test
"' OR 1=1 --"@example.test
"*)(uid=*"@example.test
postmaster@elsewhere.example
root@elsewhere.example
nobody@example.test
MAILER-DAEMON@example.test
uucp!joe
joe
joe@
.ann@example.test
ann.@example.test
a..b@example.test
joe@xn--example-.test
joe@xn--.test
joe@-example.test
joe@example-.test
joe@exam ple.test
joe @elsewhere.example
joe@ example.test
joe@EXAMPLE.TESTX
|joe@exam\u200bple.test
|joe@example\u3002test.elsewhere.example
|joe@\u0435xample.test
|joe@example.t\u0435st
|joe@ex\u00e4mple.test
|jo\u00e9@elsewhere.example
|joe@\u2764.example
|joe\uff20example.test
|joe@elsewhere.example\uff0c{me}
|joe\u2024x@example.test
|postm\u0430ster@example.test
""".strip().split("\n")
# These are ours, however they are written; the message must arrive for USER1.
OURS = ["{me}", "{ME}", "@relay.example:{me}", "@relay.example,@other.example:{me}", '"{local}"@example.test',
        '"{slashed}"@example.test', "{local}@EXAMPLE.TEST", "{local}@Example.Test"]
POSTMASTERS = ["postmaster@example.test", "POSTMASTER@example.test", "Postmaster@Example.Test", "postmaster",
               "PostMaster", "abuse@example.test", '"postmaster"@example.test']


def address(form):
    return form.lstrip("|").encode().decode("unicode_escape").encode() if "\\u" in form else form.lstrip("|").encode()


def cases():
    for service, sender in (("mx", b"<ann@sender.example>"), ("mx", b"<>"), ("mx", b"<{me}>"), ("mx-tls", b"<{me}>")):
        who = {b"<>": "null", b"<{me}>": "as-local"}.get(sender, "stranger")
        for form in STRANGE:
            if who != "stranger" and form[:1] == "|" or service == "mx-tls" and len(form) > 30:
                continue
            mail = b"MAIL FROM:" + sender + (b" SMTPUTF8\r\n" if form[:1] == "|" and form != "|id@example.test" else b"\r\n")
            yield C(f"{service}-{who}-{form}", "T040", service, "hello",
                    [mail, "250", b"RCPT TO:<" + address(form) + b">\r\n", "550|501|553", DATA, "554 5.5.1"] + BYE)
    yield C("anonymous-on-587", "T040", "sub", "hello", [MAIL, "530 5.7.0"] + BYE)
    yield C("anonymous-on-587-tls", "T040", "sub-tls", "hello", [MAIL, "530 5.7.0"] + BYE)
    yield C("anonymous-on-465", "T040", "subs", "hello", [MAIL, "530 5.7.0"] + BYE)
    for form in OURS:
        yield C(f"ours-{form}", "T040", "mx", "hello", whole(rcpt=b"RCPT TO:<" + form.encode() + b">\r\n") + BYE, arrives=[TEXT])
    for form in POSTMASTERS:
        yield C(f"ours-{form}", "T040", "mx", "hello",
                [b"MAIL FROM:<>\r\n", "250", b"RCPT TO:<" + form.encode() + b">\r\n", "250 2.1.5"] + BYE)
    yield C("the-strange-and-ours", "T040", "mx", "mail",
            [b"RCPT TO:<joe@elsewhere.example>\r\n", "550 5.7.1", b"RCPT TO:<{me}>\r\n", "250", b"RCPT TO:<{you}>\r\n", "250",
             b"RCPT TO:<nobody@example.test>\r\n", "550 5.1.1", DATA, "354", TEXT + b".\r\n", "250"] + BYE,
            arrives=[TEXT, (2, TEXT)])
    yield C("one-mailbox-named-twice-gets-one", "T040", "mx", "mail",
            [b"RCPT TO:<{me}>\r\n", "250", b"RCPT TO:<{me}>\r\n", "250", DATA, "354", TEXT + b".\r\n", "250"] + BYE, arrives=[TEXT])
    yield from forged()


def forged():
    """T097: what is refused is refused to who speaks, and nobody whose name was used hears of it."""
    mail = b"MAIL FROM:<{you}>\r\n"
    loop = b"Received: from a by b; Mon, 02 Jan 2023 10:00:00 +0000\r\n" * 101 + TEXT
    for name, rest in (("unknown", [b"RCPT TO:<nobody@example.test>\r\n", "550 5.1.1"]), ("relay", [b"RCPT TO:<a@elsewhere.example>\r\n", "550 5.7.1"]),
                       ("unknown-with-NOTIFY", [b"RCPT TO:<nobody@example.test> NOTIFY=SUCCESS,FAILURE,DELAY\r\n", "550 5.1.1"]),
                       ("loop", [RCPT, "250", DATA, "354", loop + b".\r\n", "554 5.4.6"]),
                       ("long-line", [RCPT, "250", DATA, "354", b"x" * 70000 + b"\r\n.\r\n", "554"]),
                       ("smuggling", [RCPT, "250", DATA, "354", b"x\n.\n", "554"]),
                       ("one-of-two", [RCPT, "250", b"RCPT TO:<nobody@example.test>\r\n", "550", DATA, "354", b"x\n", "554"])):
        yield C(f"no-report-{name}", "T097", "mx", "hello", [mail, "250"] + rest)


CASES = list(cases())
