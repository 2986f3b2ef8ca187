"""T004: random walks over commands and mistakes, next to a small model of what RFC 5321 allows when.

The model says for each line which reply must come. Lines go out in groups of any size, cut anywhere, so
a walk is also a test of pipelining. HOSTILE_SEED repeats a walk, HOSTILE_STEPS makes it longer.
"""
import os
import random

from case import Failed, Line, fill

STEPS = int(os.environ.get("HOSTILE_STEPS", "1500"))
TEXT = b"Subject: {mark}.%d\r\n\r\n.\r\ntext\r\n"
LONG = b"Subject: long\r\n\r\n" + b"x" * 70000 + b"\r\n"
LOOP = b"Received: from a by b; Mon, 02 Jan 2023 10:00:00 +0000\r\n" * 101 + b"\r\n"


class Model:
    """What the server must remember, and nothing more."""

    def __init__(self, rng, mark):
        self.rng, self.mark = rng, mark
        self.greeted = self.txn = self.tried = False
        self.rcpts = []
        self.sent = 0
        self.accepted = []  # (who, text)

    def reset(self):
        self.txn = self.tried = False
        self.rcpts = []

    # Each gives the bytes to send and the codes that must come back.

    def hello(self, name=b"EHLO"):
        self.greeted = True
        self.reset()
        return name + b" walk.test\r\n", ["250"]

    def helo(self):
        return self.hello(b"HELO")

    def bad_hello(self):
        return self.rng.choice([b"EHLO\r\n", b"EHLO a b\r\n", b"HELO (x)\r\n", b"EHLO \x01\r\n"]), ["501"]

    def mail(self):
        if not self.greeted or self.txn:
            return b"MAIL FROM:<ann@sender.example>\r\n", ["503"]
        self.txn = True
        return self.rng.choice([b"MAIL FROM:<ann@sender.example>\r\n", b"mail from:<>\r\n", b"MAIL FROM:<a@b.example> \r\n",
                                b"MAIL FROM: <a@b.example>\r\n"]), ["250"]

    def bad_mail(self):
        line, code = self.rng.choice([
            (b"MAIL\r\n", "501"), (b"MAIL FROM:\r\n", "501"), (b"MAIL FROM:<a@b@c>\r\n", "501"),
            (b"MAIL FROM:<a@b.example> FROB\r\n", "555"), (b"MAIL FROM:<a@b.example> SIZE=x\r\n", None),
            (b"MAIL TO:<a@b.example>\r\n", "501"), (b"MAIL FROM:<j\xc3\xbc@b.example>\r\n", "553")])
        return line, ["503" if not self.greeted or self.txn else code or "5xx"]

    def rcpt(self):
        who = self.rng.choice([1, 2])
        line = b"RCPT TO:<%s>\r\n" % (b"{me}" if who == 1 else b"{you}")
        if not self.txn:
            return line, ["503"]
        self.tried = True
        self.rcpts.append(who)
        return line, ["250"]

    def bad_rcpt(self):
        line, code = self.rng.choice([
            (b"RCPT TO:<nobody@example.test>\r\n", "550"), (b"RCPT TO:<joe@elsewhere.example>\r\n", "550"),
            (b"RCPT TO:<>\r\n", "501"), (b"RCPT TO:<{me}> FROB\r\n", "555"), (b"RCPT TO:<{me}@x>\r\n", "501")])
        if not self.txn:
            return line, ["503"]
        self.tried = True
        return line, [code]

    def data(self):
        if not self.txn or not self.rcpts:
            return b"DATA\r\n", ["554" if self.tried else "503"]
        kind, rcpts = self.rng.choice(["good", "good", "good", "long", "loop", "empty"]), set(self.rcpts)
        self.reset()
        if kind == "long":
            return b"DATA\r\n" + LONG + b".\r\n", ["354", "554"]
        if kind == "loop":
            return b"DATA\r\n" + LOOP + b".\r\n", ["354", "554"]
        self.sent += 1
        text = b"" if kind == "empty" else TEXT % self.sent
        self.accepted += [(who, text) for who in rcpts]
        return b"DATA\r\n" + text.replace(b"\r\n.", b"\r\n..") + b".\r\n", ["354", "250"]

    def rset(self):
        self.reset()
        return self.rng.choice([b"RSET\r\n", b"rset\r\n", b"RSET  \r\n"]), ["250"]

    def wrong(self):
        """What changes nothing, in any state."""
        return self.rng.choice([
            (b"FROB\r\n", ["500"]), (b"\r\n", ["500"]), (b".\r\n", ["500"]), (b"NOOP " + b"x" * 20000 + b"\r\n", ["500"]),
            (b"RSET now\r\n", ["501"]), (b"QUIT now\r\n", ["501"]), (b"EXPN x\r\n", ["502"]), (b"VRFY\r\n", ["501"]),
            (b"MAILFROM:<a@b.example>\r\n", ["500"]), (b"DATA now\r\n", ["501" if self.greeted else "50x"])])

    def idle(self):
        return self.rng.choice([(b"NOOP\r\n", ["250"]), (b"NOOP x y\r\n", ["250"]), (b"HELP\r\n", ["214"]), (b"VRFY a\r\n", ["252"])])

    def step(self):
        rng = self.rng
        walk = [self.mail, self.rcpt, self.rcpt, self.data, self.data]
        if self.greeted and rng.random() < 0.7:
            return (walk[0] if not self.txn else rng.choice(walk[1:3]) if not self.rcpts else rng.choice(walk[1:]))()
        return rng.choice([self.hello, self.helo, self.bad_hello, self.bad_mail, self.bad_rcpt, self.rset, self.wrong,
                           self.idle, *walk])()


class Budget(Exception):
    """The server had enough of our mistakes."""


def compare(s, wanted, history):
    for spec in wanted:
        said = s.reply()
        if said and said.startswith("421"):
            raise Budget
        if not said or not all(a == b or a == "x" for a, b in zip(spec, said)):
            raise Failed(f"the model says {spec}, the server {said!r}, after\n" + "\n".join(repr(h[:80]) for h in history[-12:]))


def group(model, rng, history):
    """Some lines for one go: (what to send, the answers, how many lines end in an error)."""
    sent, wanted, errors = b"", [], 0
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        line, codes = model.step()
        errors += codes[-1][0] == "5"
        sent, wanted = sent + line, wanted + codes
        history.append(line)
        if errors > 3:
            break
    return sent, wanted, errors


def session(demo, rng, mark, steps, ledger):
    """One connection, until the server has had enough or it was long. The number of steps done."""
    model, history, errors, done = Model(rng, mark), [], 0, 0
    s = Line(demo, demo.SMTP_PORT)
    try:
        s.expect("220")
        while done < steps and errors < 12:
            before = len(model.accepted)
            sent, wanted, wrong = group(model, rng, history)
            done, errors = done + len(wanted), errors + wrong
            sent = fill(sent, demo, mark)
            cut = rng.randrange(len(sent) + 1)
            s.send(sent[:cut])
            s.send(sent[cut:])
            compare(s, wanted, history)
            ledger.must([(who, fill(text, demo, mark)) for who, text in model.accepted[before:]])
    finally:
        s.close()
    return done


def walk(demo, seed, ledger):
    rng = random.Random(seed)
    steps = 0
    while steps < STEPS:
        mark = f"{seed:x}.{steps}.{rng.getrandbits(60):x}"
        steps += session(demo, rng, mark, STEPS - steps, ledger)
