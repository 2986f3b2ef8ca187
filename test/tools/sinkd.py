#!/usr/bin/python3
"""A mail server that says what it was told to say and remembers every byte: for tests of whoever sends.

    s = Sink()                                 # 127.0.0.1, any port
    s.say["rcpt"] = ["450 4.2.0 later", "250 ok"]      # one after the other, the last one stays
    s.rcpt["bad@x.test"] = ["550 5.1.1 no such user"]
    ...
    s.wait(1)[0].data                          # the first message, as it stood on the wire

Steps: greeting ehlo mail rcpt data body quit starttls auth. Instead of a reply: CUT (FIN), RESET, SILENCE,
"DELAY seconds reply". `tls`: an ssl.SSLContext; `wrapped`: TLS from the first byte. `login`: (name,
password) that AUTH PLAIN or LOGIN must give before MAIL. `offers`: what EHLO says, and then only that may
be used: LIMITS RCPTMAX and MAILMAX are enforced, CHUNKING makes BDAT work. `lmtp`: LHLO, and the step
"body" once for each recipient. What breaks the rules is noted in `wrong`: bare CR, bare LF, lines over
1,000 bytes, 8-bit text and parameters that were not offered. As a program: sinkd.py --port PORT prints
each message.
"""
import argparse
import base64
import socket
import struct
import sys
import threading
import time

# Which extension allows which parameter of MAIL and RCPT.
PARAMS = {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN", "NOTIFY": "DSN",
          "ORCPT": "DSN", "BY": "DELIVERBY", "MT-PRIORITY": "MT-PRIORITY", "REQUIRETLS": "REQUIRETLS", "RRVS": "RRVS",
          "HOLDFOR": "FUTURERELEASE", "HOLDUNTIL": "FUTURERELEASE", "AUTH": "AUTH"}
CONNECTIONS_MAX = 256
MESSAGE_MAX = 128 << 20
SILENCE_SECONDS = 30


class Message:
    def __init__(self, session, sender):
        self.sender, self.mail_params = sender
        self.rcpts = []        # addresses that were accepted
        self.rcpt_params = {}
        self.data = b""        # dots taken away
        self.in_chunks = False
        self.connection = session.number
        self.tls = session.tls_now
        self.login = session.login
        self.helo = session.helo


class Gone(Exception):
    """The session is over."""


class Session:
    def __init__(self, sink, sock, number):
        self.sink, self.sock, self.number = sink, sock, number
        self.rest = b""
        self.tls_now, self.login, self.helo = None, None, None
        self.message, self.mails = None, 0
        self.chunks = b""

    # ---- what was offered ----

    def offers(self, name):
        return any(o.split(" ")[0] == name for o in self.sink.offers)

    def limit(self, name):
        """RFC 9422: the number, or None."""
        for o in self.sink.offers:
            for word in o.split(" ")[1:] if o.startswith("LIMITS ") else []:
                if word.startswith(name + "="):
                    return int(word.split("=")[1])
        return None

    def check_params(self, params):
        for p in params:
            if not self.offers(PARAMS.get(p.split("=")[0].upper(), p)):
                self.sink.wrong.append(f"not offered: {p}")

    def check_text(self, m):
        body = next((p[5:].upper() for p in m.mail_params if p.upper().startswith("BODY=")), "7BIT")
        if body == "7BIT" and any(b > 127 for b in m.data):
            self.sink.wrong.append("8-bit text that was not announced")
        if body == "BINARYMIME" and not self.offers("BINARYMIME"):
            self.sink.wrong.append("BINARYMIME was not offered")

    # ---- bytes ----

    def bytes(self, count):
        while len(self.rest) < count:
            more = self.sock.recv(65536)
            if not more:
                raise Gone
            self.rest += more
        got, self.rest = self.rest[:count], self.rest[count:]
        return got

    def line(self):
        while b"\n" not in self.rest:
            more = self.sock.recv(65536)
            if not more:
                raise Gone
            self.rest += more
            if len(self.rest) > MESSAGE_MAX:
                raise Gone
        line, self.rest = self.rest.split(b"\n", 1)
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            self.sink.wrong.append(f"line ending: {line[-60:]!r}")
        line = line[:-1] if line.endswith(b"\r") else line
        if len(line) > 998:
            self.sink.wrong.append(f"a line of {len(line)} bytes")
        return line

    def put(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def say(self, step, usual, key=None):
        """Answer a step; gives the code."""
        reply = self.sink.reply_for(step, usual, key)
        if reply.startswith("DELAY"):
            _, seconds, reply = reply.split(" ", 2)
            time.sleep(min(float(seconds), SILENCE_SECONDS))
        if reply == "RESET":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone
        if reply == "CUT":
            raise Gone
        if reply == "SILENCE":
            self.sink.stopped.wait(SILENCE_SECONDS)
            raise Gone
        for one in reply.split("\n"):
            self.put(one)
        code = int(reply.split("\n")[-1][:3])
        if code == 421:
            raise Gone
        return code

    # ---- commands ----

    def ehlo(self, arg):
        self.helo = arg
        offers = ["sink.test"] + self.sink.offers
        if self.sink.tls and not self.tls_now:
            offers.append("STARTTLS")
        if self.sink.login and (self.tls_now or not self.sink.tls):
            offers.append("AUTH PLAIN LOGIN")
        self.say("ehlo", "\n".join(
            f"250{' ' if i == len(offers) - 1 else '-'}{o}" for i, o in enumerate(offers)))

    def starttls(self, _):
        if self.say("starttls", "220 go ahead") == 220:
            if self.sink.inject:
                self.sock.sendall(self.sink.inject)
            self.wrap()
            self.rest = b""

    def wrap(self):
        self.sock = self.sink.tls.wrap_socket(self.sock, server_side=True)
        self.tls_now = self.sock.version()

    def auth(self, arg):
        how, _, initial = arg.partition(" ")
        try:
            if how.upper() == "PLAIN":
                given = base64.b64decode(initial or self.challenge("")).decode().split("\0")
                name, password = given[1], given[2]
            else:
                name = base64.b64decode(initial or self.challenge("Username:")).decode()
                password = base64.b64decode(self.challenge("Password:")).decode()
        except (ValueError, IndexError):
            self.put("501 5.5.2 malformed")
            return
        if (name, password) != self.sink.login:
            self.sink.wrong_logins.append((name, password))
            self.put("535 5.7.8 wrong name or password")
        elif self.say("auth", "235 2.7.0 welcome") == 235:
            self.login = name

    def challenge(self, text):
        self.put("334 " + base64.b64encode(text.encode()).decode())
        return self.line()

    def mail(self, arg):
        if self.sink.login and not self.login:
            self.put("530 5.7.0 log in first")
            return
        path, _, params = arg[arg.index("<") + 1:].partition(">")
        self.check_params(params.split())
        self.mails += 1
        if self.limit("MAILMAX") and self.mails > self.limit("MAILMAX"):
            self.sink.wrong.append("more messages than MAILMAX")
        if self.say("mail", "250 2.1.0 ok", path) == 250:
            self.message, self.chunks = Message(self, (path, params.split())), b""

    def rcpt(self, arg):
        if not self.message:
            self.put("503 5.5.1 MAIL first")
            return
        path, _, params = arg[arg.index("<") + 1:].partition(">")
        self.check_params(params.split())
        if len(self.message.rcpts) >= (self.limit("RCPTMAX") or self.sink.rcpt_max):
            self.put("452 4.5.3 too many recipients")
            return
        if self.say("rcpt", "250 2.1.5 ok", path) in (250, 251):
            self.message.rcpts.append(path)
            self.message.rcpt_params[path] = params.split()

    def data(self, _):
        m = self.message
        if not m or not m.rcpts:
            self.put("503 5.5.1 RCPT first")
            return
        if self.say("data", "354 go on") != 354:
            return
        lines = []
        while (line := self.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        m.data = b"".join(one + b"\r\n" for one in lines)
        self.finish(m)

    def bdat(self, arg):
        size, _, last = arg.partition(" ")
        self.chunks += self.bytes(int(size))
        m = self.message
        if not self.offers("CHUNKING"):
            self.sink.wrong.append("CHUNKING was not offered")
        if not m or not m.rcpts:
            self.put("503 5.5.1 RCPT first")
        elif not last:
            self.say("bdat", "250 2.0.0 go on")
        else:
            m.data, m.in_chunks = self.chunks, True
            self.finish(m)

    def finish(self, m):
        self.check_text(m)
        self.sink.seen += 1
        if self.sink.lmtp:
            m.rcpts = [r for r in m.rcpts if self.say("body", "250 2.0.0 taken", r) == 250]
            code = 250 if m.rcpts else 550
        else:
            code = self.say_body(m)
        self.message = None
        if code == 250:
            self.sink.keep(m)

    def say_body(self, m):
        """A message whose good reply cannot be sent any more has arrived all the same."""
        try:
            return self.say("body", "250 2.0.0 taken", m.rcpts[0])
        except OSError:
            self.sink.keep(m)
            raise

    def rset(self, _):
        self.message = None
        self.put("250 2.0.0 ok")

    def quit(self, _):
        self.say("quit", "221 2.0.0 bye")
        raise Gone

    def run(self):
        if self.sink.wrapped:
            self.wrap()
        hello = {"LHLO": self.ehlo} if self.sink.lmtp else {"EHLO": self.ehlo, "HELO": self.ehlo}
        commands = {**hello, "BDAT": self.bdat, "STARTTLS": self.starttls,
                    "AUTH": self.auth, "MAIL": self.mail, "RCPT": self.rcpt, "DATA": self.data,
                    "RSET": self.rset, "QUIT": self.quit}
        if self.say("greeting", "220 sink.test ESMTP") != 220:
            raise Gone
        while True:
            word, _, arg = self.line().decode("utf-8", "replace").partition(" ")
            self.sink.commands.append(word.upper())
            if word.upper() in commands:
                commands[word.upper()](arg)
            else:
                self.put("250 2.0.0 ok" if word.upper() == "NOOP" else "502 5.5.1 not here")


class Sink:
    def __init__(self, host="127.0.0.1", port=0, tls=None, wrapped=False, login=None, dsn=False,
                 offers=None, lmtp=False):
        self.tls, self.wrapped, self.login, self.lmtp = tls, wrapped, login, lmtp
        self.offers = ["PIPELINING", "SIZE 134217728", "8BITMIME", "SMTPUTF8"] + ["DSN"] * dsn
        if offers is not None:
            self.offers = list(offers)
        self.rcpt_max = 1 << 30
        self.inject = b""
        self.say, self.rcpt = {}, {}
        self.messages, self.commands, self.wrong, self.wrong_logins = [], [], [], []
        self.connections, self.seen = 0, 0
        self.arrived = threading.Condition()
        self.stopped = threading.Event()
        self.slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self.listener = socket.create_server((host, port), backlog=128)
        self.host, self.port = self.listener.getsockname()[:2]
        threading.Thread(target=self.accept, daemon=True).start()

    def reply_for(self, step, usual, key):
        with self.arrived:
            script = self.rcpt.get(key) if step == "rcpt" and key in self.rcpt else self.say.get(step)
            if not script:
                return usual
            return script.pop(0) if len(script) > 1 else script[0]

    def keep(self, message):
        with self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()

    def wait(self, count=1, seconds=20):
        """The messages, once there are that many."""
        with self.arrived:
            ok = self.arrived.wait_for(lambda: len(self.messages) >= count, seconds)
            assert ok, f"{len(self.messages)} of {count} messages arrived"
            return list(self.messages)

    def accept(self):
        while not self.stopped.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if not self.slots.acquire(blocking=False):
                sock.close()
                continue
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock, self.connections), daemon=True).start()

    def serve(self, sock, number):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(120)
        session = Session(self, sock, number)
        try:
            session.run()
        except (Gone, OSError, ValueError):
            pass
        finally:
            session.sock.close()
            sock.close()
            self.slots.release()

    def stop(self):
        self.stopped.set()
        self.listener.close()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=2525)
    args = p.parse_args()
    s = Sink(args.host, args.port)
    print(f"serving on {s.host}:{s.port}", flush=True)
    shown = 0
    try:
        while True:
            for m in s.wait(shown + 1, 1 << 20)[shown:]:
                print(f"--- from <{m.sender}> to {m.rcpts}\n{m.data.decode('utf-8', 'replace')}", flush=True)
                shown += 1
    except KeyboardInterrupt:
        s.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
