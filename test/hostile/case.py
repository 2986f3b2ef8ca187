"""One hostile session as data, and how it is played against the running program.

    C("name", "T001", "mx", "data", [b"sent", b"in pieces", "554 5.5.2", CLOSED], arrives=[...])

A case has a name, the number of its threat (or ""), a service, the state in which it begins, and a
script. In the script bytes are sent, each item in a packet of its own; a str is the reply that must
come: "250", "250 2.1.0", "5xx", "501|553". The other words are below (CLOSED, TLS, FIN ...).
`arrives` lists what must lie in a mailbox afterwards, byte for byte: the text for USER1, or (2, text)
for USER2. Nothing else may ever arrive anywhere; `maybe` lists what may, when the client is gone
before it has heard.
In bytes {me} and {you} are the two addresses of the demo, {mark} is a word of this case alone; {ME}, {local}
and {slashed} are other ways to write the first, {pass} is its password.

Services: mx (25), mx-tls (25 after STARTTLS), sub (587), sub-tls, subs (465), login (465, logged in).
States: fresh (nothing read yet), greeted, hello (after EHLO), mail, rcpt, data (354 has come).
"""
import base64
import contextlib
import re
import socket
import ssl
import struct
import time
import uuid


class Word:
    def __init__(self, name, data=b""):
        self.name = name
        self.data = data

    def __repr__(self):
        return self.name


CLOSED = Word("CLOSED")  # the server has closed, without another word
ENDS = Word("ENDS")  # it says what it likes, and closes
TLS = Word("TLS")  # the handshake, which must succeed
FIN = Word("FIN")  # we send no more, but listen
RST = Word("RST")  # we are gone, with a reset
NOTIFY = Word("NOTIFY")  # close_notify of TLS, the TCP connection stays
SLOWLY = Word("SLOWLY")  # from here on each byte is a packet of its own


def CLEAR(data):
    """Bytes that go past the TLS layer."""
    return Word("CLEAR", data)


def LAST(spec):
    """It answers what it likes; the last reply before it closes is this one."""
    return Word("LAST", spec)


def B64(text):
    """A line that is the base64 of this."""
    return Word("B64", text)


class Case:
    def __init__(self, name, threat, service, state, script, arrives=(), maybe=()):
        self.name = f"{threat or 'smtp'}-{name}"
        self.service, self.state, self.script = service, state, script
        self.arrives, self.maybe = list(arrives), list(maybe)


C = Case
STRANGER = b"ann@sender.example"
TEXT = (b"From: <ann@sender.example>\r\nTo: <{me}>\r\nSubject: {mark}\r\n"
        b"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\nMessage-ID: <{mark}@sender.example>\r\n\r\nhello\r\n")
MINE = TEXT.replace(STRANGER + b">\r\nTo", b"{me}>\r\nTo")  # from the one who is logged in
EVIL = (b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<{me}>\r\nDATA\r\nSubject: smuggled {mark}\r\n\r\nx"
        b"\r\n.\r\nQUIT\r\n")
MAIL = b"MAIL FROM:<ann@sender.example>\r\n"
RCPT = b"RCPT TO:<{me}>\r\n"
DATA = b"DATA\r\n"
QUIT = b"QUIT\r\n"
DOT = b".\r\n"


def whole(text=TEXT, mail=MAIL, rcpt=RCPT):
    """The steps of one good message."""
    text = (b"." if text[:1] == b"." else b"") + text.replace(b"\r\n.", b"\r\n..")
    return [mail, "250 2.1.0", rcpt, "250 2.1.5", DATA, "354", text + DOT, "250 2.0.0"]


BYE = [QUIT, "221 2.0.0", CLOSED]
# The session has taken no harm: the next message goes through.
GOES_ON = [b"RSET\r\n", "250 2.0.0"] + whole() + BYE


def fill(data, demo, mark):
    me = demo.USER1
    local = me.split("@")[0]
    words = {"{me}": me, "{pass}": demo.PASS1, "{ME}": me.upper(), "{you}": demo.USER2, "{mark}": mark, "{local}": local,
             "{slashed}": "\\" + "\\".join(local)}
    for word, meaning in words.items():
        data = data.replace(word.encode(), meaning.encode())
    return data


class Failed(Exception):
    pass


class Line:
    """A connection that sends what it is told and checks the form of every reply."""

    def __init__(self, demo, port, tls=False, timeout=20):
        self.demo = demo
        self.tcp = self.sock = demo.connect(port, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.enhanced = False
        self.gone = False
        if tls:
            self.handshake()

    def close(self):
        self.sock.close()
        self.tcp.close()

    def handshake(self):
        if self.rest:
            raise Failed(f"before the handshake it also said {self.rest!r}")
        self.tcp = self.sock.dup()
        self.sock = self.demo.tls.wrap_socket(self.sock, server_hostname=self.demo.TLS_NAME)
        self.enhanced = False

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError):
            pass  # what came before the end is still to be read

    def taken(self):
        """Wait until the server has read what we sent, so that the next piece comes alone."""
        host, port = self.tcp.getsockname()
        peer = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            with open("/proc/net/tcp") as f:
                row = re.search(rf"[0-9A-F:]+ {peer} [0-9A-F]{{2}} [0-9A-F]+:([0-9A-F]+)", f.read())
            if not row or int(row[1], 16) == 0:
                return

    def more(self):
        try:
            return self.sock.recv(65536)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        except ssl.SSLError as e:
            if "ALERT" not in str(e):
                raise
            return b""  # a fatal alert is an end, too

    def line(self):
        while b"\n" not in self.rest:
            more = self.more()
            if not more:
                if self.rest:
                    raise Failed(f"half a line: {self.rest!r}")
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        if len(line) > 511 or not re.fullmatch(rb"[2345][0-9][0-9][ -][ -~]*\r", line):
            raise Failed(f"a reply is malformed: {line!r}")
        return line[:-1].decode()

    def reply(self):
        """The next reply as one line, its first; None at the end."""
        first = line = self.line()
        while line and line[3] == "-":
            line = self.line()
            if line is None or line[:3] != first[:3]:
                raise Failed(f"a reply of several lines is malformed: {first!r} {line!r}")
        if first and self.enhanced and first[0] in "245" and first[:4] != "250-" and not re.match(
                first[0] + r"\d\d[ -]" + first[0] + r"\.\d{1,3}\.\d{1,3} ", first):
            raise Failed(f"RFC 2034 4: no enhanced status, or not of its class: {first!r}")
        return first

    def expect(self, spec):
        said = self.reply()
        if said is None or not any(re.match(one.replace("x", r"\d") + "( |-|$)", said)
                                   for one in spec.split("|")):
            raise Failed(f"expected {spec}, got {said!r}")
        return said

    def closed(self):
        said = self.reply()
        if said is not None:
            raise Failed(f"expected the end, got {said!r}")

    def last(self, spec):
        said = None
        while one := self.reply():
            said = one
        if not said or not re.match(spec, said):
            raise Failed(f"expected {spec} at the end, got {said!r}")

    def ends(self):
        while self.more():
            pass

    def reset(self):
        for s in (self.tcp, self.sock):
            if s.fileno() >= 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def notify(self):
        self.sock.settimeout(5)
        try:
            self.sock.unwrap()
        except (OSError, ssl.SSLError, ValueError):
            pass

    def step(self, data, spec):
        self.send(data)
        return self.expect(spec)

    def hello(self):
        self.enhanced = False
        self.step(b"EHLO client.test\r\n", "250")
        self.enhanced = True


PORTS = {"mx": "SMTP_PORT", "sub": "SUBMISSION_PORT", "subs": "SUBMISSIONS_PORT",
         "login": "SUBMISSIONS_PORT"}


def enter(demo, service, state, timeout=20):
    """A connection to that service, brought into that state."""
    name = service.removesuffix("-tls")
    s = Line(demo, getattr(demo, PORTS[name]), name in ("subs", "login"), timeout)
    try:
        if service.endswith("-tls"):
            s.expect("220")
            s.hello()
            s.step(b"STARTTLS\r\n", "220 2.0.0")
            s.handshake()
        elif state != "fresh":
            s.expect("220")
        if state not in ("fresh", "greeted"):
            s.hello()
        if name == "login":
            token = base64.b64encode(f"\0{demo.USER1}\0{demo.PASS1}".encode())
            s.step(b"AUTH PLAIN " + token + b"\r\n", "235 2.7.0")
        sender = demo.USER1.encode() if name == "login" else STRANGER
        if state in ("mail", "rcpt", "data"):
            s.step(b"MAIL FROM:<" + sender + b">\r\n", "250 2.1.0")
        if state in ("rcpt", "data"):
            s.step(b"RCPT TO:<" + demo.USER1.encode() + b">\r\n", "250 2.1.5")
        if state == "data":
            s.step(b"DATA\r\n", "354")
    except BaseException:
        s.close()
        raise
    return s


def send_piece(s, data, slowly, last):
    for piece in ([data[i:i + 1] for i in range(len(data))] if slowly else [data]):
        s.send(piece)
        if slowly or not last:
            s.taken()


def play_word(s, word):
    if word is CLOSED:
        s.closed()
    elif word is ENDS:
        s.ends()
    elif word.name == "LAST":
        s.last(word.data)
    elif word is TLS:
        s.handshake()
    elif word is FIN:
        with contextlib.suppress(OSError):  # it may have left already
            s.tcp.shutdown(socket.SHUT_WR)
    elif word is RST:
        s.reset()
    elif word is NOTIFY:
        s.notify()
    elif word.name == "CLEAR":
        with contextlib.suppress(OSError):
            s.tcp.sendall(word.data)


def play(case, demo, ledger):
    """Play one case. What must and may have arrived goes into the ledger; raises Failed."""
    mark = uuid.uuid4().hex
    arrives = fill_all(case.arrives, demo, mark)
    ledger.may(fill_all(case.maybe, demo, mark))
    s = enter(demo, case.service, case.state)
    slowly = False
    hello = None
    try:
        for i, step in enumerate(case.script):
            following = case.script[i + 1] if i + 1 < len(case.script) else None
            if isinstance(step, bytes):
                step = fill(step, demo, mark)
                send_piece(s, step, slowly, not isinstance(following, bytes))
                hello = step[:4].upper() if step[:4].upper() in (b"EHLO", b"HELO") else None
                s.enhanced = s.enhanced and not hello
            elif isinstance(step, str):
                said = s.expect(step)
                s.enhanced = s.enhanced or (hello == b"EHLO" and step == "250")
                hello = None
                if mark in said:
                    raise Failed(f"the reply repeats what was sent: {said!r}")
            elif step is SLOWLY:
                slowly = True
            elif step.name == "B64":
                s.send(base64.b64encode(fill(step.data, demo, mark)) + b"\r\n")
            else:
                play_word(s, step)
    except (Failed, OSError) as e:
        ledger.may(arrives)
        raise Failed(f"step {i} of {case.script[max(0, i - 2):i + 1]}: {e}") from None
    else:
        ledger.must(arrives)
    finally:
        s.close()


def fill_all(texts, demo, mark):
    pairs = [t if isinstance(t, tuple) else (1, t) for t in texts]
    return [(who, fill(text, demo, mark)) for who, text in pairs]


PREFIX = re.compile(rb"(?:(?:Return-Path|Delivered-To|Received|Authentication-Results)"
                    rb":[\t -~\x80-\xff]*\r\n(?:[\t ][\t -~\x80-\xff]*\r\n)*)*")
TRACE = re.compile(rb"Return-Path: <[ -~\x80-\xff]*>\r\n")


class Ledger:
    """Everything that was accepted, to be compared with what lies in the mailboxes."""

    def __init__(self):
        self.wanted = {1: [], 2: []}
        self.allowed = {1: [], 2: []}

    def must(self, pairs):
        for who, text in pairs:
            self.wanted[who].append(text)

    def may(self, pairs):
        for who, text in pairs:
            self.allowed[who].append(text)

    def compare(self, who, found):
        """What is wrong with this mailbox: lines of text."""
        wrong, wanted, allowed = [], list(self.wanted[who]), list(self.allowed[who])
        for message in found:
            cut = [t for t in (wanted + allowed) if message.endswith(t) and
                   PREFIX.fullmatch(message[:len(message) - len(t)]) and TRACE.match(message)]
            best = max(cut, key=len, default=None)
            if best is None:
                wrong.append(f"never accepted, or not as it was sent: {message[:600]!r}")
            elif best in wanted:
                wanted.remove(best)
            else:
                allowed.remove(best)
        return wrong + [f"accepted, and not there: {text[:300]!r}" for text in wanted]
