"""What stands behind the address of MAIL and RCPT, and the address itself (RFC 5321 4.1.2)."""
from case import BYE, C, DATA, GOES_ON, MAIL, MINE, TEXT, whole

# "parameters of MAIL = reply", on port 25, with SMTPUTF8 and DSN as offered
MAIL_PARAMS = """
SIZE=1000 = 250 2.1.0
size=1000 = 250 2.1.0
SIZE=0 = 250 2.1.0
SIZE=00000000000000000100 = 250 2.1.0
SIZE=52428800 = 250 2.1.0
SIZE=52428801 = 552 5.3.4
SIZE=18446744073709551615 = 552 5.3.4
SIZE=18446744073709551616 = 552 5.3.4
SIZE=99999999999999999999 = 552 5.3.4
SIZE=999999999999999999999 = 501 5.5.4
SIZE=4294967296 = 552 5.3.4
SIZE= = 501 5.5.4
SIZE = 501 5.5.4
SIZE=-1 = 501 5.5.4
SIZE=+1 = 501 5.5.4
SIZE=0x10 = 501 5.5.4
SIZE=1e3 = 501 5.5.4
SIZE=1.5 = 501 5.5.4
SIZE=1,000 = 501 5.5.4
SIZE=1k = 501 5.5.4
SIZE==1 = 501 5.5.4
SIZE=1=1 = 501 5.5.4
SIZE=1 SIZE=1 = 501 5.5.4
SIZE=1 size=2 = 501 5.5.4
BODY=7BIT = 250 2.1.0
BODY=8BITMIME = 250 2.1.0
body=8bitmime = 250 2.1.0
BODY=9BIT = 501 5.5.4|555
BODY= = 501 5.5.4
BODY = 501 5.5.4
BODY=8BITMIME BODY=8BITMIME = 501 5.5.4
BODY=8BITMIME; = 501 5.5.4
SMTPUTF8 = 250 2.1.0
smtputf8 = 250 2.1.0
SMTPUTF8=1 = 501 5.5.4
SMTPUTF8 SMTPUTF8 = 501 5.5.4
SIZE=1 BODY=8BITMIME SMTPUTF8 = 250 2.1.0
FROB = 555 5.5.4
FROB=1 = 555 5.5.4
=1 = 555 5.5.4|501
= = 555 5.5.4|501
X-A=B = 555 5.5.4
SIZEX=1 = 555 5.5.4
SIZ=1 = 555 5.5.4
AUTH=<> = 555 5.5.4
AUTH=ann@sender.example = 555 5.5.4
NOTIFY=NEVER = 555 5.5.4
ORCPT=rfc822;a@b = 555 5.5.4|501
SIZE=1 FROB = 555 5.5.4
RET=FULL = 250 2.1.0
RET=hdrs = 250 2.1.0
RET=ALL = 501 5.5.4
RET= = 501 5.5.4
RET=FULL RET=HDRS = 501 5.5.4
ENVID=QQ314159 = 250 2.1.0
ENVID=a+2Bb+3Dc = 250 2.1.0
ENVID=a+0Ab = 501 5.5.4
ENVID=a+0D+0ARCPT+20TO:<x> = 501 5.5.4
ENVID=a+00b = 501 5.5.4
ENVID=a+7F = 501 5.5.4
ENVID=a+1Bb = 501 5.5.4
ENVID=a+2 = 501 5.5.4
ENVID=a+ = 501 5.5.4
ENVID=a+2b = 501 5.5.4
ENVID=a+zz = 501 5.5.4
ENVID=a=b = 501 5.5.4
ENVID= = 501 5.5.4
ENVID = 501 5.5.4
ENVID=a ENVID=b = 501 5.5.4
BODY=BINARYMIME = 250 2.1.0
BY=120;R = 250 2.1.0
BY=120;NT = 250 2.1.0
BY=-120;N = 250 2.1.0
BY=0;R = 501 5.5.4
BY=-1;R = 501 5.5.4
BY=1;R = 555 5.5.4
BY=120 = 501 5.5.4
BY=120; = 501 5.5.4
BY=120;X = 501 5.5.4
BY=120;RX = 501 5.5.4
BY=;R = 501 5.5.4
BY=--1;R = 501 5.5.4
BY=1e3;R = 501 5.5.4
BY=9999999999;R = 501 5.5.4
BY=99999999999999999999;R = 501 5.5.4
BY=120;R BY=120;R = 501 5.5.4
HOLDFOR=60 = 555 5.5.4
MT-PRIORITY=3 = 555 5.5.4
REQUIRETLS = 530 5.7.10
__proto__=1 = 555 5.5.4
SOLICIT=x = 555 5.5.4
SIZE:1 = 555 5.5.4
"SIZE=1" = 555 5.5.4|501
<b@c.example> = 555 5.5.4|501
"""
RCPT_PARAMS = """
FROB = 555 5.5.4
FROB=1 = 555 5.5.4
SIZE=1 = 555 5.5.4
BODY=8BITMIME = 555 5.5.4
SMTPUTF8 = 555 5.5.4
RET=FULL = 555 5.5.4
NOTIFY=NEVER = 250 2.1.5
NOTIFY=SUCCESS,FAILURE,DELAY = 250 2.1.5
notify=success = 250 2.1.5
NOTIFY=NEVER,SUCCESS = 501 5.5.4
NOTIFY=SUCCESS,SUCCESS = 501 5.5.4
NOTIFY=SUCCESS, = 501 5.5.4
NOTIFY=,SUCCESS = 501 5.5.4
NOTIFY= = 501 5.5.4
NOTIFY = 501 5.5.4
NOTIFY=ALWAYS = 501 5.5.4
NOTIFY=NEVER NOTIFY=NEVER = 501 5.5.4
ORCPT=rfc822;ann@b.example = 250 2.1.5
ORCPT=rfc822;ann+2Btag@b.example = 250 2.1.5
ORCPT=utf-8;ann@b.example = 250 2.1.5
ORCPT=rfc822;a+0Ab = 501 5.5.4
ORCPT=rfc822;a+0D+0Ab = 501 5.5.4
ORCPT=rfc822;a+00b = 501 5.5.4
ORCPT=rfc822;a+7Fb = 501 5.5.4
ORCPT=rfc822;a+1Bb = 501 5.5.4
ORCPT=rfc822;a+2b = 501 5.5.4
ORCPT=rfc822;a+ = 501 5.5.4
ORCPT=rfc822;a+0ab = 501 5.5.4
ORCPT=rfc822;a=b = 501 5.5.4
ORCPT=rfc822; = 501 5.5.4
ORCPT=rfc822 = 501 5.5.4
ORCPT=;ann@b.example = 501 5.5.4
ORCPT=r+0Ac;ann@b.example = 501 5.5.4
ORCPT= = 501 5.5.4
ORCPT=rfc822;a ORCPT=rfc822;b = 501 5.5.4
RRVS=2023-01-02T10:00:00Z = 250 2.1.5|5xx
RRVS=2023-13-02T10:00:00Z = 501 5.5.4
RRVS=2023-01-02 = 501 5.5.4
RRVS=2023-01-02T10:00:00Z;X = 501 5.5.4
RRVS=2023-01-02T10:00:00Z; = 501 5.5.4
RRVS=0 = 501 5.5.4
RRVS= = 501 5.5.4
RRVS=99999999999999999999-01-02T10:00:00Z = 501 5.5.4
= = 555 5.5.4|501
<{you}> = 555 5.5.4|501
"""
# In a login on 465.
LOGIN_PARAMS = """
HOLDFOR=60 = 250 2.1.0
HOLDFOR=0 = 501 5.5.4
HOLDFOR=-1 = 501 5.5.4
HOLDFOR=99999999 = 501 5.5.4
HOLDFOR=99999999999999999999 = 501 5.5.4
HOLDFOR= = 501 5.5.4
HOLDFOR=60 HOLDFOR=60 = 501 5.5.4
HOLDFOR=600 BY=120;R = 501 5.5.4
HOLDFOR=60 BY=120;R = 250 2.1.0
HOLDFOR=60 HOLDUNTIL=2040-01-01T00:00:00Z = 501 5.5.4
HOLDUNTIL=2099-01-01T00:00:00Z = 501 5.5.4
HOLDUNTIL=2023-02-30T00:00:00Z = 501 5.5.4
HOLDUNTIL=now = 501 5.5.4
HOLDUNTIL= = 501 5.5.4
HOLDUNTIL=2023-01-01T00:00:00 = 501 5.5.4
MT-PRIORITY=3 = 250 2.1.0
MT-PRIORITY=-9 = 250 2.1.0
MT-PRIORITY=9 = 250 2.1.0
MT-PRIORITY=10 = 501 5.5.4
MT-PRIORITY=-10 = 501 5.5.4
MT-PRIORITY=+3 = 501 5.5.4
MT-PRIORITY=-0 = 501 5.5.4
MT-PRIORITY= = 501 5.5.4
MT-PRIORITY=x = 501 5.5.4
MT-PRIORITY=3 MT-PRIORITY=3 = 501 5.5.4
REQUIRETLS = 250 2.1.0
REQUIRETLS=1 = 501 5.5.4
REQUIRETLS REQUIRETLS = 501 5.5.4
AUTH=<> = 250 2.1.0
AUTH=e+3Dmc2@example.test = 250 2.1.0
AUTH=a+0Ab = 501 5.5.4
AUTH=a+00b = 501 5.5.4
AUTH= = 501 5.5.4
AUTH=<> AUTH=<> = 501 5.5.4
ENVID=a+0Ab = 501 5.5.4
SIZE=99999999999 = 552 5.3.4
FROB=1 = 555 5.5.4
"""
# The form of the address, and what is said to MAIL FROM:form. 250 or refused.
GOOD = r"""
<ann@sender.example>
<>
<a@b.example>
<ann+tag@sender.example>
<!#$%&'*+-/=?^_`{|}~@sender.example>
<ann.b.c@sender.example>
<"ann"@sender.example>
<"ann b"@sender.example>
<"ann@b"@sender.example>
<"a\"b"@sender.example>
<"a\\b"@sender.example>
<"<a>"@sender.example>
<".a."@sender.example>
<"a..b"@sender.example>
<" "@sender.example>
<ann@SENDER.Example>
<ann@sender>
<ann@[192.0.2.1]>
<ann@[IPv6:2001:db8::1]>
<ann@[ipv6:2001:DB8::1]>
<ann@[IPv6:::]>
<ann@[IPv6:1:2:3:4:5:6:7:8]>
<ann@[IPv6:::ffff:192.0.2.1]>
<ann@xn--bcher-kva.example>
<ann@1.2.example>
<ann@a-b.example>
<ann@_x.example>
<@relay.example:ann@sender.example>
<@a.example,@b.example:ann@sender.example>
 <ann@sender.example>
<ann@sender.example> 
"""
BAD = r"""
ann@sender.example
<ann@sender.example
ann@sender.example>
<<ann@sender.example>>
<ann>
<@sender.example>
<ann@>
<@>
< >
<ann @sender.example>
<ann@ sender.example>
< ann@sender.example>
<ann@sender.example >
<ann@sender.example>x
<ann@sender.example><b@c.example>
<ann@sender.example>,<b@c.example>
<ann@@sender.example>
<ann@b@sender.example>
<.ann@sender.example>
<ann.@sender.example>
<an..n@sender.example>
<ann(x)@sender.example>
<ann,b@sender.example>
<ann;b@sender.example>
<ann:b@sender.example>
<ann[b]@sender.example>
<an"n@sender.example>
<"ann@sender.example>
<ann"@sender.example>
<"ann"b@sender.example>
<"ann"."b"@sender.example>
<""@sender.example>
<"ann\"@sender.example>
<ann\@b@sender.example>
<ann@sender..example>
<ann@.sender.example>
<ann@sender.example.>
<ann@-sender.example>
<ann@sender-.example>
<ann@sender.exa mple>
<ann@sender.exam!ple>
<ann@sender.example:25>
<ann@sender.example/x>
<ann@(x)sender.example>
<ann@[192.0.2]>
<ann@[192.0.2.256]>
<ann@[192.0.2.1]x>
<ann@[192.0.2.1>
<ann@192.0.2.1]>
<ann@[ 192.0.2.1]>
<ann@[2001:db8::1]>
<ann@[IPv6:192.0.2.1]>
<ann@[IPv6:2001:db8:::1]>
<ann@[IPv6:1:2:3:4:5:6:7:8:9]>
<ann@[IPv6:fe80::1%eth0]>
<ann@[IPv6:]>
<ann@[]>
<@relay.example>
<@relay.example:>
<@relay.example:@sender.example>
<@:ann@sender.example>
<@relay..example:ann@sender.example>
<@a.example,b.example:ann@sender.example>
<@a.example,:ann@sender.example>
<relay.example:ann@sender.example>
"Ann" <ann@sender.example>
Ann <ann@sender.example>
<Ann <ann@sender.example>>
"""


def pairs(table):
    for row in table.strip("\n").split("\n"):
        params, spec = row.rsplit(" = ", 1)
        yield params, spec


def cases():
    for params, spec in pairs(MAIL_PARAMS):
        yield C(f"MAIL-{params}", "T011" if "+0" in params else "T007", "mx", "hello",
                [MAIL[:-2] + b" " + params.encode() + b"\r\n", spec] + GOES_ON, arrives=[TEXT])
    for params, spec in pairs(RCPT_PARAMS):
        yield C(f"RCPT-{params}", "T011" if "+0" in params else "T007", "mx", "mail",
                [b"RCPT TO:<{me}> " + params.encode() + b"\r\n", spec] + GOES_ON, arrives=[TEXT])
    for params, spec in pairs(LOGIN_PARAMS):
        yield C(f"login-MAIL-{params}", "T011" if "+0" in params else "T007", "login", "hello",
                [b"MAIL FROM:<{me}> " + params.encode() + b"\r\n", spec, b"RSET\r\n", "250"] +
                whole(MINE, b"MAIL FROM:<{me}>\r\n") + BYE, arrives=[MINE])
    for form in GOOD.strip("\n").split("\n"):
        yield C(f"good-{form}", "T007", "mx", "hello", [b"MAIL FROM:" + form.encode() + b"\r\n", "250 2.1.0"] + BYE)
        yield C(f"good-arrives-{form}", "T007", "mx", "hello", whole(mail=b"MAIL FROM:" + form.encode() + b"\r\n") + BYE,
                arrives=[TEXT])
    for form in BAD.strip("\n").split("\n"):
        yield C(f"bad-{form}", "T007", "mx", "hello",
                [b"MAIL FROM:" + form.encode() + b"\r\n", "501 5.1.7|501 5.5.4|553|555 5.5.4"] + GOES_ON, arrives=[TEXT])
        yield C(f"bad-RCPT-{form}", "T007", "mx", "mail",
                [b"RCPT TO:" + form.encode() + b"\r\n", "501 5.1.3|501 5.5.4|553|555 5.5.4|550", DATA, "554 5.5.1|503"] + BYE)
    for name, params in (("BODY", b" BODY=8BITMIME"), ("SIZE", b" SIZE=1"), ("UTF8", b" SMTPUTF8")):
        yield C(f"HELO-has-no-{name}", "T007", "mx", "greeted",
                [b"HELO client.test\r\n", "250", MAIL[:-2] + params + b"\r\n", "555", MAIL, "250"] + BYE)
    for i, char in enumerate(b"\x01\x08\t\x0b\x0c\x1b\x1f\x7f"):
        c = bytes([char])
        yield C(f"control-{char:02x}-in-address", "T011", "mx", "hello",
                [b"MAIL FROM:<a" + c + b"b@sender.example>\r\n", "501|553"] + GOES_ON, arrives=[TEXT])
        yield C(f"control-{char:02x}-in-quotes", "T011", "mx", "hello",
                [b'MAIL FROM:<"a' + c + b'b"@sender.example>\r\n', "501|553"] + GOES_ON, arrives=[TEXT])
        yield C(f"control-{char:02x}-in-HELO", "T011", "mx", "greeted",
                [b"EHLO a" + c + b"b.test\r\n", "501", b"EHLO b.test\r\n", "250"] + BYE)
        yield C(f"control-{char:02x}-in-parameter", "T011", "mx", "hello",
                [MAIL[:-2] + b" SIZE=1" + c + b"\r\n", "501|555|250"] + BYE)
        yield C(f"control-{char:02x}-in-RCPT", "T011", "mx", "mail", [b"RCPT TO:<a" + c + b"b@example.test>\r\n", "501|553"] + BYE)
    for i, name in enumerate((b"a(b", b"a)b", b"a;b", b"<a>", b"a@b", b"a,b", b'"a"', b"a\\b", b"a b", b"\xc3\xa4", b"\xff", b"a'b",
                              b"a|b", b"a`b", b"$(id)", b"${run{id}}", b"%n%s", b"a\x7fb", b"x" * 256, b"x" * 2000)):
        yield C(f"HELO-{i}", "T011", "mx", "greeted", [b"EHLO " + name + b"\r\n", "501", b"EHLO b.test\r\n", "250"] + BYE)
    for i, name in enumerate((b"a", b"client.test", b"[127.0.0.1]", b"[IPv6:::1]", b"localhost", b"a_b.test", b"x" * 255, b"a.b.",
                              b"127.0.0.1", b"DESKTOP-ABC", b"a:b")):
        yield C(f"HELO-good-{i}", "T011", "mx", "greeted", [b"EHLO " + name + b"\r\n", "250"] + whole() + BYE, arrives=[TEXT])
    yield C("UTF8-sender-without-SMTPUTF8", "T016", "mx", "hello", ["MAIL FROM:<jü@b.example>\r\n".encode(), "553 5.6.7|501"] + GOES_ON, arrives=[TEXT])
    for i, bad in enumerate((b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80")):
        for where in (b"a" + bad + b"@b.example", b"a@b" + bad + b".example", b'"' + bad + b'"@b.example'):
            yield C(f"bad-UTF8-{bad.hex()}-{where.find(bad)}-{where[:1].hex()}", "T016", "mx", "hello",
                    [b"MAIL FROM:<" + where + b"> SMTPUTF8\r\n", "501|553"] + GOES_ON, arrives=[TEXT])


CASES = list(cases())
