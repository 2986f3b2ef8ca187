"""The ledger: what was promised, and whether it was kept.

Every message carries its id and is made so that its bytes prove themselves: it begins with a line
`X-Ledger: ID`, and the ledger keeps the SHA-256 of everything from there on. The server may put
trace lines (Received, Return-Path, ...) in front; it may change nothing else.

A message is in one of these states:

    sent      handed over, no reply yet
    positive  a 250 came: the server answers for it
    refused   a 5xx came, or the server said no or went away before the final dot: it may not be there
    unknown   a 4xx or the end of the connection came after the final dot: it may be there, at most once

check() compares with what is found. Problems are sentences that name the ids.
"""
import base64
import collections
import hashlib
import itertools
import json
import threading
import time

MARK = b"X-Ledger: "
# What the server may put in front of a message (RFC 5321 4.4, RFC 8601); folded lines go along.
TRACE_FIELDS = (b"return-path", b"delivered-to", b"received", b"authentication-results",
                b"received-spf", b"x-original-to")

# One message as found somewhere: its id (None: it carries none), the hash of what counts, where.
Found = collections.namedtuple("Found", "id digest place")


def digest(data):
    return hashlib.sha256(data).hexdigest()


def examine(data, place):
    """Found of the bytes of a message, and what is wrong in front of it (None: nothing)."""
    at = 0 if data.startswith(MARK) else data.find(b"\r\n" + MARK, 0, 65536) + 2
    if at == 1:
        return Found(None, digest(data), place), None
    ident = data[at + len(MARK):data.index(b"\r\n", at)].decode("ascii", "replace")
    wrong = None
    for line in data[:at].split(b"\r\n")[:-1]:
        if line[:1] in b" \t" and line:
            continue
        if line.split(b":")[0].lower() not in TRACE_FIELDS:
            wrong = f"{ident}: unexpected in front of it in {place}: {line[:80]!r}"
    return Found(ident, digest(data[at:]), place), wrong


class Message:
    def __init__(self, ident, data, mailboxes, remote):
        self.id = ident
        self.data = data            # bytes, CRLF; dropped when the outcome is known
        self.digest = digest(data)
        self.size = len(data)
        self.mailboxes = frozenset(mailboxes)  # logins that must get it, each once
        self.remote = frozenset(remote)        # addresses elsewhere that must get it
        self.state = "sent"
        self.handed = self.replied = None      # time.time()


def compose(ident, size, random, sender, to):
    """A message of about `size` bytes whose lines are unlike any other message's."""
    head = [MARK + ident.encode(), b"From: <" + sender.encode() + b">", b"To: <" + to.encode() + b">",
            b"Subject: " + ident.encode(), b"Date: Thu, 1 Jan 2026 00:00:00 +0000",
            b"Message-ID: <" + ident.encode() + b"@ledger.test>", b"", b"." + ident.encode(), b".", b""]
    head = b"\r\n".join(head)
    raw = random.randbytes(max(1, (size - len(head)) * 3 // 4))
    return head + base64.encodebytes(raw).replace(b"\n", b"\r\n")


class Ledger:
    """Thread-safe. `path`: every event is appended there, so that a failed run can be read later."""

    def __init__(self, run, path=None):
        self.run = run
        self.messages = {}
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self.file = open(path, "a", buffering=1) if path else None
        self.notary = None  # is told of every promise the moment it is made

    def note(self, event, ident, **more):
        if self.file:
            self.file.write(json.dumps({"t": round(time.time(), 6), "event": event, "id": ident,
                                        **more}) + "\n")

    def new(self, size, random, sender, to, mailboxes, remote):
        ident = f"{self.run}-{next(self.numbers)}"
        m = Message(ident, compose(ident, size, random, sender, to), mailboxes, remote)
        with self.lock:
            self.messages[ident] = m
            self.note("new", ident, size=m.size, to=sorted(m.mailboxes), remote=sorted(m.remote))
        return m

    def handing(self, m):
        """Called right before the final dot goes out."""
        if self.notary:
            self.notary.ask(m)
        m.handed = time.time()
        m.state = "unknown"

    def reply(self, m, code, text=""):
        """The reply to the final dot, or to a command before it."""
        m.replied = time.time()
        if code == 250:
            if self.notary:
                self.notary.answered(m)
            m.state = "positive"
        elif m.state == "sent" or code >= 500:
            m.state = "refused"
        m.data = None
        with self.lock:
            self.note(m.state, m.id, code=code, text=text)

    def lost(self, m):
        """The connection ended. Before the final dot the server owes nothing and must keep nothing."""
        m.replied = time.time()
        if m.state == "sent":
            m.state = "refused"
        m.data = None
        with self.lock:
            self.note("lost", m.id, state=m.state)

    def count(self, state):
        with self.lock:
            return sum(1 for m in self.messages.values() if m.state == state)

    def owed(self, remote_only=False):
        """What must be found: (id, place) pairs of all positive messages."""
        with self.lock:
            return {(m.id, place) for m in self.messages.values() if m.state == "positive"
                    for place in (m.remote if remote_only else m.mailboxes)}

    def check(self, boxes, queue=None):
        """Problems of what is found in the mailboxes: {login: [Found, ...]}, all mail ever put
        there. `queue`: {(id, address)} still to be sent or sent already; None: not looked at."""
        problems, seen = [], collections.Counter()
        for login, mails in boxes.items():
            for f in mails:
                problems += self._look_at(f, login)
                seen[f.id, login] += 1
        with self.lock:
            for m in self.messages.values():
                problems += self._settle(m, boxes, seen, queue)
        return problems

    def _look_at(self, f, login):
        m = self.messages.get(f.id)
        if m is None:
            return [f"a message that nobody sent: {f.id or f.digest} in {f.place}"]
        if f.digest != m.digest:
            return [f"{m.id}: altered in {f.place}"]
        if login not in m.mailboxes:
            return [f"{m.id}: in {f.place}, but it was not for {login}"]
        return []

    @staticmethod
    def _settle(m, boxes, seen, queue):
        have = {login for login in m.mailboxes if seen[m.id, login]}
        there = bool(have)
        problems = [f"{m.id}: {seen[m.id, login]} times in the mailbox of {login}"
                    for login in sorted(have) if seen[m.id, login] > 1]
        gone = [login for login in sorted(m.mailboxes & boxes.keys()) if login not in have]
        if queue is not None:
            sent = {a for a in m.remote if (m.id, a) in queue}
            there = there or bool(sent)
            gone += [a for a in sorted(m.remote) if a not in sent]
        if m.state == "positive":
            problems += [f"{m.id}: LOST for {who}: 250 at {m.replied:.6f}" for who in gone]
        elif m.state == "refused" and there:
            problems.append(f"{m.id}: is there although it was refused or never completed")
        elif there and gone:
            problems.append(f"{m.id}: only in part there: not for {', '.join(gone)}")
        return problems
