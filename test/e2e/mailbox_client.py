"""What the tests of IMAP and POP3 share: a raw IMAP client, and mailboxes that nobody else uses."""
import email.message
import re
import socket
import uuid


class Imap:
    """IMAP by hand: what is sent is sent exactly, and every line of an answer is seen."""

    def __init__(self, demo, tls=True, timeout=15):
        self.demo = demo
        self.sock = demo.connect(demo.IMAPS_PORT if tls else demo.IMAP_PORT, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.count = 0
        if tls:
            self.start_tls()
        else:
            self.rest = b""
        self.greeting = self.line()

    def start_tls(self):
        self.sock = self.demo.tls.wrap_socket(self.sock, server_hostname=self.demo.TLS_NAME)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        try:
            more = self.sock.recv(1 << 16)
        except ConnectionResetError:
            more = b""
        self.rest += more
        return len(more) > 0

    def fill_to(self, size):
        pieces, have = [self.rest], len(self.rest)
        while have < size:
            pieces.append(self.sock.recv(1 << 16))
            assert pieces[-1], "the end came in a literal"
            have += len(pieces[-1])
        self.rest = b"".join(pieces)

    def line(self):
        """One line with the literals in it, without its ending; None at the end of the stream."""
        at = 0
        while True:
            end = self.rest.find(b"\r\n", at)
            if end < 0:
                if not self.fill():
                    assert not self.rest, f"half a line: {self.rest!r}"
                    return None
                continue
            literal = re.search(rb"\{(\d+)\}$", self.rest[at:end])
            if not literal:
                line, self.rest = self.rest[:end], self.rest[end + 2:]
                return line
            at = end + 2 + int(literal[1])
            self.fill_to(at)

    def start(self, command):
        self.count += 1
        tag = b"t%d" % self.count
        self.send(tag + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return tag

    def finish(self, tag):
        """(status, text of the tagged answer, [untagged lines])"""
        untagged = []
        while True:
            line = self.line()
            assert line is not None, f"the connection ended after {untagged}"
            if line.startswith(tag + b" "):
                status, _, text = line[len(tag) + 1:].partition(b" ")
                return status.decode(), text.decode(), untagged
            assert line.startswith((b"* ", b"+ ")), line
            untagged.append(line)

    def cmd(self, command):
        return self.finish(self.start(command))

    def ok(self, command):
        """The untagged lines; the command must succeed."""
        status, text, untagged = self.cmd(command)
        assert status == "OK", (command, status, text)
        return untagged

    def login(self, who=1):
        user, password = getattr(self.demo, f"USER{who}"), getattr(self.demo, f"PASS{who}")
        self.ok(f'LOGIN "{user}" "{password}"')
        return self

    def append(self, mailbox, message, flags=""):
        """The uid of the new message; what else was said is in self.told."""
        tag = self.start(b'APPEND "%s" (%s) {%d+}\r\n%s' % (
            mailbox.encode(), flags.encode(), len(message), message))
        status, text, self.told = self.finish(tag)
        assert status == "OK", text
        return int(re.search(r"\[APPENDUID \d+ (\d+)\]", text)[1])

    def at_end(self):
        """Has the server closed? Whatever it still said is dropped."""
        while self.line() is not None:
            pass
        return True


def literals(line):
    """The literals of a line, in order."""
    found = []
    at = 0
    while True:
        m = re.compile(rb"\{(\d+)\}\r\n").search(line, at)
        if not m:
            return found
        found.append(line[m.end():m.end() + int(m[1])])
        at = m.end() + int(m[1])


def fresh(box, name="T"):
    """A new mailbox of this name and something random; selected."""
    name = f"{name}-{uuid.uuid4().hex[:12]}"
    box.ok(f'CREATE "{name}"')
    box.ok(f'SELECT "{name}"')
    return name


def plain(subject, body="hello\r\n"):
    return (f"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: {subject}\r\n"
            f"Date: Mon, 02 Jan 2023 10:00:00 +0000\r\n"
            f"Message-ID: <{uuid.uuid4().hex}@example.test>\r\n\r\n{body}").encode()


def multipart():
    """A message as mail apps make them: alternatives, a picture, an attached message."""
    inner = email.message.EmailMessage()
    inner["From"], inner["Subject"] = "old@example.net", "inner"
    inner.set_content("inner text\n")
    m = email.message.EmailMessage()
    m["From"], m["To"], m["Subject"] = "Ann <ann@example.test>", "bob@example.test", "Grüße"
    m["Date"] = "Mon, 02 Jan 2023 10:00:00 +0000"
    m["Message-ID"] = "<parts@example.test>"
    m.set_content("Grüße aus Köln\n")
    m.add_alternative("<p>Grüße aus Köln</p>\n", subtype="html")
    m.add_attachment(bytes(range(256)) * 20, maintype="image", subtype="png", filename="bild ü.png")
    m.add_attachment(inner)
    return m.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
