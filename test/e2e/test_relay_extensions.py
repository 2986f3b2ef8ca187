"""What a sender asks of us is asked of the next server, or done here, or said to be impossible."""
import email
import email.policy
import os
import re
import sys
import time

import pytest

import postfix
from raw import submit
from test_courier import bounce, certificate, dns, server_tls, token  # noqa: F401

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tools"))
from sinkd import Sink  # noqa: E402

MODERN = ["PIPELINING", "SIZE 134217728", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "BINARYMIME", "DELIVERBY",
          "MT-PRIORITY MIXER", "RRVS", "ENHANCEDSTATUSCODES"]


@pytest.fixture
def start_sink():
    started = []

    def start(**how):
        started.append(Sink(**how))
        return started[-1]

    yield start
    for s in started:
        s.stop()
        assert s.wrong == []


@pytest.fixture
def far(start_sink, start_demo):
    """far(offers, ...): a server that offers this, and a demo with a route to it."""
    def start(offers, *settings, **how):
        sink = start_sink(offers=offers, **how)
        return sink, start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}", *settings)
    return start


def head(mark, more=""):
    return (f"From: <ann@example.test>\r\nTo: <joe@far.test>\r\nSubject: {mark}\r\n"
            f"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\nMessage-ID: <{mark}@example.test>\r\n{more}\r\n").encode()


def mail(demo, rcpts, text, params="", rcpt_params="", who=1):
    """Submit by DATA; gives the queue id."""
    with submit(demo, who) as s:
        s.ok(f"MAIL FROM:<{getattr(demo, f'USER{who}')}> {params}".rstrip())
        for r in [rcpts] if isinstance(rcpts, str) else rcpts:
            s.ok(f"RCPT TO:<{r}> {rcpt_params}".rstrip())
        s.ok("DATA", 354)
        s.send(text.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        code, said = s.reply()
        assert code == 250
    return re.search(r"queued as ([0-9a-z]{13})", said[0])[1]


def chunks(demo, rcpt, text, params):
    with submit(demo) as s:
        s.ok(f"MAIL FROM:<{demo.USER1}> {params}")
        s.ok(f"RCPT TO:<{rcpt}>")
        s.send(b"BDAT %d LAST\r\n" % len(text) + text)
        assert s.code() == 250


def parsed(m):
    return email.message_from_bytes(m.data, policy=email.policy.default)


# ---- the body ----------------------------------------------------------------------------------

UMLAUTS = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. " * 3


def test_eight_bit_text_goes_as_it_is_where_it_may(far):
    sink, demo = far(MODERN)
    mark, body = token(), UMLAUTS.encode() + b"\r\n"
    more = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    mail(demo, "joe@far.test", head(mark, more) + body, "BODY=8BITMIME")
    m = sink.wait(1)[0]
    assert "BODY=8BITMIME" in m.mail_params and m.data.endswith(body)


def test_eight_bit_text_is_converted_for_an_old_server(far):
    sink, demo = far(["PIPELINING", "SIZE 10000000"])
    mark = token()
    more = ("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n"
            "Content-Transfer-Encoding: 8bit\r\n")
    body = ("--cut\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            f"{UMLAUTS}\r\n--cut\r\nContent-Type: application/x-thing\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            f"{UMLAUTS}\r\n--cut--\r\n").encode()
    mail(demo, "joe@far.test", head(mark, more) + body, "BODY=8BITMIME")
    m = sink.wait(1)[0]
    assert [p for p in m.mail_params if p.startswith("SIZE=")] == [f"SIZE={len(m.data)}"]
    text, thing = parsed(m).iter_parts()
    assert text["Content-Transfer-Encoding"] == "quoted-printable"
    assert text.get_content().rstrip("\r\n") == UMLAUTS
    assert thing["Content-Transfer-Encoding"] == "base64" and thing.get_content() == UMLAUTS.encode()


def test_long_lines_are_converted(far):
    sink, demo = far(MODERN)
    mark, line = token(), "x" * 1500
    mail(demo, "joe@far.test", head(mark) + line.encode() + b"\r\n")
    assert parsed(sink.wait(1)[0]).get_content().rstrip("\r\n") == line


def test_what_cannot_be_converted_comes_back(far):
    sink, demo = far(["PIPELINING"])
    mark = token()
    text = head(mark).replace(b"Subject: ", b"Comments: \xe4\r\nSubject: ") + b"hi\r\n"
    mail(demo, "joe@far.test", text, "BODY=8BITMIME")
    _, about = bounce(demo, mark)
    assert about["joe@far.test"]["Status"] == "5.6.3"
    assert sink.messages == []


def test_binary_content_goes_in_chunks(far):
    sink, demo = far(MODERN)
    mark, body = token(), bytes(range(256)) * 300 + b"\n\r.\r\nend"
    more = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
    chunks(demo, "joe@far.test", head(mark, more) + body, "BODY=BINARYMIME")
    m = sink.wait(1)[0]
    assert m.in_chunks and "BODY=BINARYMIME" in m.mail_params
    assert m.data.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("offers", [["PIPELINING"], ["PIPELINING", "8BITMIME"],
                                    ["PIPELINING", "8BITMIME", "CHUNKING"]])
def test_binary_content_is_converted_for_others(far, offers):
    sink, demo = far(offers)
    mark, body = token(), bytes(range(256)) * 300
    more = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
    chunks(demo, "joe@far.test", head(mark, more) + body, "BODY=BINARYMIME")
    m = sink.wait(1)[0]
    assert not m.in_chunks and parsed(m).get_content() == body


# ---- the envelope ------------------------------------------------------------------------------


def test_what_was_asked_for_is_passed_on(far):
    sink, demo = far(MODERN)
    mail(demo, "joe@far.test", head(token()) + b"hi\r\n",
         "RET=HDRS ENVID=some+2Bid BY=3600;NT MT-PRIORITY=3",
         "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;jo+2Be@far.test RRVS=2020-01-02T03:04:05Z;R")
    m = sink.wait(1)[0]
    by = next(p for p in m.mail_params if p.startswith("BY="))
    assert re.fullmatch(r"BY=3(600|5\d\d);NT", by)
    assert {"RET=HDRS", "ENVID=some+2Bid", "MT-PRIORITY=3"} <= set(m.mail_params)
    assert {"NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;jo+2Be@far.test",
            "RRVS=2020-01-02T03:04:05Z;R"} <= set(m.rcpt_params["joe@far.test"])
    # Only the trace that was asked for: the next server reports success itself.
    report, about = bounce(demo, "Action: relayed")
    assert about["joe@far.test"]["Action"] == "relayed"


def test_nothing_is_asked_of_a_server_that_knows_nothing(far):
    sink, demo = far([])
    mark = token()
    mail(demo, "joe@far.test", head(mark) + b"hi\r\n", "RET=FULL ENVID=some+2Bid MT-PRIORITY=-2",
         "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;jo+2Be@far.test RRVS=2020-01-02T03:04:05Z;C")
    m = sink.wait(1)[0]
    assert m.mail_params == [] and m.rcpt_params["joe@far.test"] == []
    report, about = bounce(demo, mark)
    blocks = report.get_payload()[1].get_payload()
    assert blocks[0]["Original-Envelope-Id"] == "some+id" and blocks[0]["Arrival-Date"]
    assert about["joe@far.test"]["Action"] == "relayed"
    assert about["joe@far.test"]["Original-Recipient"].replace(" ", "") == "rfc822;jo+e@far.test"
    # RFC 3461 4.3: what went well is not sent back.
    assert report.get_payload()[2].get_content_type() == "text/rfc822-headers"


def test_a_mailbox_that_cannot_be_checked_gets_nothing(far):
    sink, demo = far(["PIPELINING"])
    mark = token()
    mail(demo, "joe@far.test", head(mark) + b"hi\r\n", "", "RRVS=2020-01-02T03:04:05Z;R")
    _, about = bounce(demo, mark)
    assert about["joe@far.test"]["Status"] == "5.7.19" and sink.messages == []


def test_as_many_recipients_as_the_server_takes(far):
    sink, demo = far(["PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=2"])
    everybody = [f"r{i}@far.test" for i in range(7)]
    mail(demo, everybody, head(token()) + b"hi\r\n")
    got = sink.wait(4)
    assert sorted(r for m in got for r in m.rcpts) == everybody
    assert max(len(m.rcpts) for m in got) == 2


def test_a_limit_that_shows_only_when_it_is_met(far):
    sink, demo = far(["PIPELINING"])
    sink.rcpt_max = 3
    everybody = [f"r{i}@far.test" for i in range(7)]
    mail(demo, everybody, head(token()) + b"hi\r\n")
    assert sorted(r for m in sink.wait(3) for r in m.rcpts) == everybody


def test_an_address_beyond_ascii_needs_a_server_that_takes_it(far):
    sink, demo = far(["PIPELINING", "8BITMIME"])
    mark = token()
    mail(demo, "jürgen@far.test", head(mark) + b"hi\r\n", "SMTPUTF8")
    report = demo.wait_message(mark.encode())
    m = email.message_from_bytes(report)
    block = m.get_payload()[1].get_payload()[1]
    assert block["Status"] == "5.6.7" and block["Final-Recipient"].startswith("utf-8;")


# ---- time --------------------------------------------------------------------------------------


def test_what_is_to_be_returned_goes_only_where_it_would_be(far):
    sink, demo = far(["PIPELINING", "DSN"])
    mark = token()
    mail(demo, "joe@far.test", head(mark) + b"hi\r\n", "BY=600;R")
    report, about = bounce(demo, mark)
    assert about["joe@far.test"]["Status"] == "5.4.7" and about["joe@far.test"]["Action"] == "failed"
    assert report.get_payload()[1].get_payload()[0]["Deliver-By-Date"] and sink.messages == []


def test_who_asked_to_hear_of_lateness_does_and_it_goes_on(far):
    sink, demo = far(MODERN, "queue.first-retry=4s")
    sink.say["rcpt"] = ["451 4.2.0 later", "451 4.2.0 later", "250 2.1.5 ok"]
    mark = token()
    mail(demo, "joe@far.test", head(mark) + b"hi\r\n", "BY=1;N")
    _, about = bounce(demo, mark)
    assert about["joe@far.test"]["Action"] == "delayed" and about["joe@far.test"]["Will-Retry-Until"]
    m = sink.wait(1)[0]
    assert any(re.fullmatch(r"BY=-\d+;N", p) for p in m.mail_params)


def test_what_is_to_wait_waits(far):
    sink, demo = far(MODERN + ["FUTURERELEASE 100 2030-01-01T00:00:00Z"])
    start = time.monotonic()
    mail(demo, "joe@far.test", head(token()) + b"hi\r\n", "HOLDFOR=3")
    m = sink.wait(1)[0]
    assert time.monotonic() - start > 2
    assert not any(p.startswith("HOLD") for p in m.mail_params)


# ---- TLS ---------------------------------------------------------------------------------------


def test_what_needs_tls_goes_to_a_certain_server_that_promises_it(start_sink, start_demo, certificate):  # noqa: F811
    sink = start_sink(offers=["PIPELINING", "REQUIRETLS"], tls=server_tls(certificate))
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}", f"tls.ca-file={certificate[0]}")
    mail(demo, "joe@far.test", head(token()) + b"hi\r\n", "REQUIRETLS")
    m = sink.wait(1)[0]
    assert m.tls and "REQUIRETLS" in m.mail_params


@pytest.mark.parametrize("lacks", ["promise", "certificate", "tls"])
def test_what_needs_tls_comes_back_without_its_text(start_sink, start_demo, certificate, lacks):  # noqa: F811
    offers = ["PIPELINING"] + ["REQUIRETLS"] * (lacks != "promise")
    sink = start_sink(offers=offers, tls=None if lacks == "tls" else server_tls(certificate))
    settings = [f"tls.ca-file={certificate[0]}"] if lacks != "certificate" else []
    demo = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}", *settings)
    mark = token()
    mail(demo, "joe@far.test", head(mark) + b"the secret\r\n", "REQUIRETLS RET=FULL")
    report, about = bounce(demo, mark)
    assert about["joe@far.test"]["Status"] == "5.7.30" and "REQUIRETLS" in about["joe@far.test"]["Diagnostic-Code"]
    assert b"the secret" not in report.as_bytes() and sink.messages == []


def test_what_needs_tls_does_not_follow_unsigned_records(start_sink, start_demo, dns, certificate):  # noqa: F811
    sink = start_sink(offers=["REQUIRETLS"], tls=server_tls(certificate))
    dns.load("other.test MX 10 sink.test\nsink.test A 127.0.0.1\n")
    demo = start_demo(f"dns.server=127.0.0.1:{dns.port}", f"outbound.port={sink.port}",
                      f"tls.ca-file={certificate[0]}")
    mark = token()
    mail(demo, "joe@other.test", head(mark) + b"hi\r\n", "REQUIRETLS")
    _, about = bounce(demo, mark)
    assert about["joe@other.test"]["Status"] == "5.7.30" and sink.messages == []


# ---- reports -----------------------------------------------------------------------------------


def test_a_delivery_here_is_reported_to_who_asks(demo):
    mark = token()
    mail(demo, demo.USER2, head(mark) + b"hi\r\n", "RET=FULL ENVID=e1",
         f"NOTIFY=SUCCESS ORCPT=rfc822;{demo.USER2}")
    assert mark.encode() in demo.wait_message(mark.encode(), 2)
    report, about = bounce(demo, mark)
    assert about[demo.USER2]["Action"] == "delivered" and about[demo.USER2]["Status"].startswith("2.")
    assert report.get_payload()[2].get_content_type() == "text/rfc822-headers"
    time.sleep(1)
    assert sum(mark.encode() in m for m in demo.messages(1)) == 1


def test_failure_is_not_reported_to_who_does_not_care(far):
    sink, demo = far(["PIPELINING"])
    sink.rcpt["bad@far.test"] = ["550 5.1.1 nobody"]
    quiet, loud = token(), token()
    mail(demo, "bad@far.test", head(quiet) + b"hi\r\n", "", "NOTIFY=NEVER")
    mail(demo, "bad@far.test", head(loud) + b"the whole text\r\n")
    report, _ = bounce(demo, loud)
    assert report.get_payload()[2].get_content_type() == "message/rfc822"
    assert b"the whole text" in report.as_bytes()
    assert not any(quiet.encode() in m for m in demo.messages(1))


# ---- other ways --------------------------------------------------------------------------------


def test_a_route_may_lead_to_lmtp(start_sink, start_demo):
    sink = start_sink(offers=["PIPELINING", "8BITMIME"], lmtp=True)
    demo = start_demo(f"route.far.test=lmtp://127.0.0.1:{sink.port}")
    sink.rcpt["bad@far.test"] = ["550 5.1.1 nobody"]
    sink.say["body"] = ["250 2.0.0 in", "552 5.2.2 full"]
    mark = token()
    mail(demo, ["ann@far.test", "bad@far.test", "jim@far.test"], head(mark) + b"hi\r\n", "",
         "NOTIFY=SUCCESS,FAILURE")
    assert len(sink.wait(1)[0].rcpts) == 1
    _, about = bounce(demo, mark)
    assert sorted(b["Action"] for b in about.values()) == ["delivered", "failed", "failed"]
    assert sorted(b["Status"] for b in about.values())[1:] == ["5.1.1", "5.2.2"]


def test_a_domain_without_servers_fails_at_once(start_demo, dns):  # noqa: F811
    dns.load("empty.test TXT nothing\nnowhere.test MX 10 gone.test\ngone.test TXT nothing\n")
    demo = start_demo(f"dns.server=127.0.0.1:{dns.port}")
    mark = token()
    mail(demo, ["joe@empty.test", "joe@nowhere.test", "joe@missing.test"], head(mark) + b"hi\r\n")
    want = {"joe@empty.test": "5.1.2", "joe@nowhere.test": "5.4.4", "joe@missing.test": "5.1.2"}
    for rcpt, status in want.items():
        line = demo.wait_log(f"courier.delivery .*to={rcpt} ")
        assert f"dsn={status}" in line and "status=bounced" in line


def test_a_silent_address_holds_nobody_up(start_demo, dns, start_sink):  # noqa: F811
    sink = start_sink(host="127.0.0.2")
    # 127.0.0.3 refuses at once; the next one of the same domain answers.
    dns.load("two.test MX 10 one.two.test\ntwo.test MX 20 two.two.test\n"
             "one.two.test A 127.0.0.3\ntwo.two.test A 127.0.0.2\n")
    demo = start_demo(f"dns.server=127.0.0.1:{dns.port}", f"outbound.port={sink.port}")
    mail(demo, "joe@two.test", head(token()) + b"hi\r\n")
    sink.wait(1)


# ---- Postfix -----------------------------------------------------------------------------------


@pytest.mark.skipif(postfix.missing() is not None, reason=str(postfix.missing()))
def test_postfix_gets_what_it_can_take(start_demo, certificate):  # noqa: F811
    """With chunks and 8-bit text, and without either."""
    for keywords in ("", "smtpd_discard_ehlo_keywords = 8bitmime, chunking, dsn\n"):
        peer = postfix.Postfix(settings=keywords, certificate=certificate)
        try:
            demo = start_demo(f"route.far.test=smtp://127.0.0.1:{peer.port}")
            mark = token()
            more = ("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n")
            mail(demo, "joe@far.test", head(mark, more) + UMLAUTS.encode() + b"\r\n", "BODY=8BITMIME",
                 "NOTIFY=SUCCESS")
            got = email.message_from_bytes(peer.wait_mail(mark), policy=email.policy.default)
            assert got["Content-Transfer-Encoding"] == ("quoted-printable" if keywords else "8bit")
            assert got.get_content().rstrip("\r\n") == UMLAUTS
            if keywords:  # else Postfix reports its own delivery, to a domain that it cannot find
                assert b"Action: relayed" in demo.wait_message(b"Action: ")
        finally:
            peer.stop()


# ---- ourselves ---------------------------------------------------------------------------------


def test_our_own_server_as_a_smarthost_takes_and_keeps_all_of_it(start_sink, start_demo, tmp_path):
    """Over TLS, with a login, twice through us: nothing is lost on the way."""
    sink = start_sink(offers=MODERN)
    provider = start_demo(f"route.far.test=smtp://127.0.0.1:{sink.port}")
    secret = tmp_path / "password"
    secret.write_text(provider.PASS1 + "\n")
    user = provider.USER1.replace("@", "%40")
    demo = start_demo(f"smarthost=smtp+starttls://{user}@localhost:{provider.SUBMISSION_PORT}",
                      f"smarthost.password=file:{secret}", f"tls.ca-file={provider.CAFILE}")
    mark, body = token(), bytes(range(256)) * 300
    more = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
    chunks(demo, "joe@far.test", head(mark, more) + body,
           "BODY=BINARYMIME RET=HDRS ENVID=some+2Bid BY=3600;N MT-PRIORITY=3")
    m = sink.wait(1)[0]
    assert m.in_chunks and m.data.endswith(b"\r\n\r\n" + body)
    assert {"BODY=BINARYMIME", "RET=HDRS", "ENVID=some+2Bid", "MT-PRIORITY=3"} <= set(m.mail_params)
    assert any(re.fullmatch(r"BY=3\d\d\d;N", p) for p in m.mail_params)
