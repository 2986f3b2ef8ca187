"""Clients that hand over mail as fast as they may, and a server elsewhere that takes what is sent on.

A client knows nothing of kills: when its connection ends it notes what the server owes (nothing before
the final dot, perhaps a message after it) and connects again.
"""
import base64
import random as random_module
import socket
import ssl
import threading
import time

import ledger as ledger_module

PATIENCE = 45  # seconds that a client waits for a reply; fronts wait 30 s for a store to come back


class Gone(Exception):
    """The connection has ended, or the server is silent."""


class Session:
    """An SMTP connection, as seen by a client."""

    def __init__(self, host, port):
        try:
            self.socket = socket.create_connection((host, port), timeout=PATIENCE)
        except OSError as e:
            raise Gone(str(e)) from e
        self.buffer = b""

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as e:
            raise Gone(str(e)) from e

    def reply(self):
        """(code, text) of one reply."""
        lines = []
        while True:
            while b"\r\n" not in self.buffer:
                try:
                    piece = self.socket.recv(65536)
                except OSError as e:
                    raise Gone(str(e)) from e
                if not piece:
                    raise Gone("closed")
                self.buffer += piece
            line, self.buffer = self.buffer.split(b"\r\n", 1)
            lines.append(line[4:].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                if not line[:3].isdigit():
                    raise Gone(f"no reply: {line[:80]!r}")
                return int(line[:3]), "\n".join(lines)

    def ask(self, line):
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def expect(self, line, code):
        got, text = self.ask(line)
        if got != code:
            raise Gone(f"{line.split()[0]}: {got} {text}")

    def start_tls(self, context, name):
        self.expect("STARTTLS", 220)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
        except OSError as e:
            raise Gone(str(e)) from e
        self.buffer = b""


def pick_size(random, largest):
    at = random.random()
    if at < 0.70:
        return random.randrange(1024, 8192)
    if at < 0.93:
        return random.randrange(8192, 65536)
    if at < 0.98:
        return random.randrange(65536, 256 * 1024)
    return random.randrange(256 * 1024, largest)


class Client(threading.Thread):
    """targets: {address: (mailboxes, remote addresses)}. user: (login, password), or None for port 25."""

    def __init__(self, name, env, book, targets, seed, user=None, pause=0.04, largest=600 * 1024):
        super().__init__(name=name, daemon=True)
        self.env, self.book, self.targets, self.user = env, book, targets, user
        self.random = random_module.Random(seed)
        self.pause, self.largest = pause, largest
        self.go = threading.Event()
        self.idle = threading.Event()
        self.end = False
        self.error = None
        self.on_positive = None

    def run(self):
        try:
            while not self.end:
                self.idle.set()
                if not self.go.wait(0.2):
                    continue
                self.idle.clear()
                self._session()
        except Exception as e:  # a defect of this program, not of the server
            self.error = f"{self.name}: {e!r}"
        self.idle.set()

    def _session(self):
        s = None
        try:
            s = self._open()
            for _ in range(self.random.randrange(1, 30)):
                if not self.go.is_set() or self.end:
                    break
                self._message(s)
                if self.random.random() < 0.7:
                    time.sleep(self.random.random() * 2 * self.pause)
            s.ask("QUIT")
        except Gone:
            time.sleep(0.03 + 0.1 * self.random.random())
        finally:
            if s:
                s.close()

    def _open(self):
        port = "SUBMISSION_PORT" if self.user else "SMTP_PORT"
        s = Session(self.env["HOST"], self.env[port])
        try:
            code, text = s.reply()
            if code != 220:
                raise Gone(text)
            s.expect("EHLO client.ledger.test", 250)
            if self.user:
                context = ssl.create_default_context(cafile=self.env["CAFILE"])
                s.start_tls(context, self.env["TLS_NAME"])
                s.expect("EHLO client.ledger.test", 250)
                secret = base64.b64encode(f"\0{self.user[0]}\0{self.user[1]}".encode()).decode()
                s.expect("AUTH PLAIN " + secret, 235)
        except Gone:
            s.close()
            raise
        return s

    def _message(self, s):
        sender = self.user[0] if self.user else f"{self.name}@sender.ledger.test"
        to = sorted(self.targets)
        self.random.shuffle(to)
        to = to[:self.random.randrange(1, 6)]
        s.send("".join([f"MAIL FROM:<{sender}>\r\n", *(f"RCPT TO:<{a}>\r\n" for a in to),
                        "DATA\r\n"]).encode())
        mail, _ = s.reply()
        good = [a for a in to if s.reply()[0] == 250]
        code, _ = s.reply()
        if mail != 250 or code != 354:
            if code == 354:
                s.send(b".\r\n")
                s.reply()
            s.expect("RSET", 250)
            return
        mailboxes = {m for a in good for m in self.targets[a][0]}
        remote = {r for a in good for r in self.targets[a][1]}
        m = self.book.new(pick_size(self.random, self.largest), self.random, sender, to[0],
                          mailboxes, remote)
        self._hand_over(s, m)

    def _hand_over(self, s, m):
        try:
            stuffed = m.data.replace(b"\r\n.", b"\r\n..")
            if self.random.random() < 0.02:  # some clients die in the middle
                s.send(stuffed[:len(stuffed) // 2])
                raise Gone("on purpose")
            if self.random.random() < 0.5:   # the end in a packet of its own
                s.send(stuffed)
                stuffed = b""
            self.book.handing(m)
            s.send(stuffed + b".\r\n")
            code, text = s.reply()
        except Gone:
            self.book.lost(m)
            raise
        self.book.reply(m, code, text)
        if code == 250 and self.on_positive:
            self.on_positive(m)


class Sink(threading.Thread):
    """The server elsewhere. Takes everything, but now and then says 451, or hangs up after the dot."""

    def __init__(self, seed):
        super().__init__(name="sink", daemon=True)
        self.random = random_module.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.taken = {}     # (id, address): [time of the 250, ...]
        self.problems = []
        self.book = None

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            with s, s.makefile("rwb", buffering=65536) as f:
                s.settimeout(120)
                self._session(f)
        except (OSError, ValueError):
            pass

    @staticmethod
    def _say(f, line):
        f.write(line + b"\r\n")

    def _session(self, f):
        to = []
        self._say(f, b"220 sink.ledger.test")
        f.flush()
        while line := f.readline(4096):
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                self._say(f, b"250-sink.ledger.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0"
                          if verb == b"EHLO" else b"250 sink.ledger.test")
            elif verb == b"RCPT":
                to.append(line[line.index(b"<") + 1:line.rindex(b">")].decode())
                self._say(f, b"250 ok")
            elif verb == b"DATA":
                self._say(f, b"354 go on")
                f.flush()
                if not self._data(f, to):
                    return
                to = []
            elif verb == b"QUIT":
                self._say(f, b"221 bye")
                f.flush()
                return
            else:
                if verb in (b"MAIL", b"RSET"):
                    to = []
                self._say(f, b"250 ok")
            f.flush()

    def _data(self, f, to):
        lines = []
        while (line := f.readline(65536)) != b".\r\n":
            if not line:
                return False
            lines.append(line[1:] if line[:1] == b"." else line)
        with self.lock:
            mood = self.random.random()
        if mood < 0.02:
            self._say(f, b"451 4.3.0 not now")
            return True
        if mood < 0.03:
            return False
        found, wrong = ledger_module.examine(b"".join(lines), "the sink")
        message = self.book.messages.get(found.id)
        with self.lock:
            if wrong:
                self.problems.append(wrong)
            if message is None:
                self.problems.append(f"the sink got a message that nobody sent: {found.id or lines[:12]}")
            elif message.digest != found.digest:
                self.problems.append(f"{found.id}: altered on its way to {', '.join(to)}")
            for address in to:
                if message and address not in message.remote:
                    self.problems.append(f"{found.id}: sent to {address}, whom nobody named")
                self.taken.setdefault((found.id, address), []).append(time.time())
        self._say(f, b"250 2.0.0 taken")
        f.flush()
        return True

    def close(self):
        self.listener.close()
