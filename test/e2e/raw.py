"""A client that sends exactly what it is told, and a few things that sessions need."""
import base64
import socket
import struct


class Raw:
    """SMTP by hand. Replies are (code, [lines without code])."""

    def __init__(self, demo, port=None, tls=False, timeout=15):
        self.demo = demo
        self.sock = demo.connect(port or demo.SMTP_PORT, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        if tls:
            self.start_tls()

    def start_tls(self):
        self.sock = self.demo.tls.wrap_socket(self.sock, server_hostname=self.demo.TLS_NAME)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def line(self):
        """One line without its ending; None at the end of the stream."""
        while b"\r\n" not in self.rest:
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                assert not self.rest, f"half a line: {self.rest!r}"
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\r\n", 1)
        assert b"\n" not in line and b"\r" not in line
        return line

    def reply(self):
        """The next reply, or None at the end."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                assert not lines
                return None
            lines.append(line[4:].decode())
            if line[3:4] != b"-":
                return int(line[:3]), lines

    def code(self):
        r = self.reply()
        return r and r[0]

    def cmd(self, text):
        """Send a line, give the reply."""
        self.send((text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        return self.reply()

    def ok(self, text, want=250):
        r = self.cmd(text)
        assert r and r[0] == want, f"{text}: {r}"
        return r

    def hello(self, name="client.test"):
        assert self.code() == 220
        return self.ok(f"EHLO {name}")

    def login(self, user, password):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.cmd(f"AUTH PLAIN {token}")

    def envelope(self, sender, *rcpts):
        self.ok(f"MAIL FROM:<{sender}>")
        for r in rcpts:
            self.ok(f"RCPT TO:<{r}>")

    def message(self, sender, rcpts, text):
        """A whole message; gives the final reply."""
        self.envelope(sender, *([rcpts] if isinstance(rcpts, str) else rcpts))
        self.ok("DATA", 354)
        self.send(text.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return self.reply()

    def at_end(self):
        """Has the server closed, without another word?"""
        return self.reply() is None

    def reset(self):
        """Go at once, without a goodbye: the peer sees a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def submit(demo, who=1):
    """A session on 465, logged in."""
    r = Raw(demo, demo.SUBMISSIONS_PORT, tls=True)
    r.hello()
    assert r.login(getattr(demo, f"USER{who}"), getattr(demo, f"PASS{who}"))[0] == 235
    return r
