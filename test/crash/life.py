"""A client that works on messages by IMAP while roles are killed: append, flag, copy, move, expunge; some of what it
has expunged the operator brings back (`account restore`).

Each message lives in two folders of one account and has its own id. Before a command the client notes the
state that the message will have, and after an OK that it has it; when the connection ends instead, the message is
in one of the two and is left alone from then on. A state is a list of places FOLDER:FLAGS.
"""
import imaplib
import random as random_module
import re
import ssl
import subprocess
import threading

import demo as demo_module
import ledger as ledger_module

FOLDERS = ("Life", "Kept")


class Life(threading.Thread):
    def __init__(self, demo, number, seed):
        super().__init__(daemon=True)
        self.demo, self.env, self.number = demo, demo.env, number
        self.login, self.password = self.env[f"USER{number}"], self.env[f"PASS{number}"]
        self.random = random_module.Random(seed)
        self.states = {}   # id: (digest, answered, asked or None)
        self.changes = 0   # that were answered
        self.restored = 0  # of them
        self.go, self.idle, self.end = threading.Event(), threading.Event(), False

    def connect(self):
        context = ssl.create_default_context(cafile=self.env["CAFILE"])
        i = imaplib.IMAP4_SSL(self.env["HOST"], self.env["IMAPS_PORT"], ssl_context=context, timeout=45)
        i.login(self.login, self.password)
        return i

    def run(self):
        while not self.end:
            self.idle.set()
            if not self.go.wait(0.2):
                continue
            self.idle.clear()
            try:
                i = self.connect()
                for folder in FOLDERS:
                    i.create(folder)  # NO when it is there
                i.select(FOLDERS[0])
                while self.go.is_set() and not self.end:
                    self.one(i)
                i.logout()
            except (OSError, imaplib.IMAP4.error):
                pass  # a kill; what it was doing stays as it is noted
        self.idle.set()  # the end may come in the middle of a session

    def change(self, ident, state, command, *arguments):
        """Does the server say OK? What it refuses has not happened."""
        digest, now, _ = self.states[ident]
        self.states[ident] = digest, now, state
        kind, data = command(*arguments)
        self.states[ident] = digest, state if kind == "OK" else now, None
        self.changes += kind == "OK"
        return data if kind == "OK" else None

    def one(self, i):
        ident = f"life-{self.number}-{len(self.states):06}"  # none is part of another: see --subject
        data = ledger_module.compose(ident, self.random.randrange(800, 20000), self.random, self.login,
                                     self.login)
        self.states[ident] = ledger_module.digest(data), (), None
        said = self.change(ident, ("Life:",), i.append, FOLDERS[0], None, None, data)
        uid = re.search(rb"APPENDUID \d+ (\d+)", said[0]) if said else None
        if not uid:
            return
        uid = uid[1].decode()
        if self.change(ident, ("Life:\\Flagged",), i.uid, "STORE", uid, "FLAGS", "(\\Flagged)") is None:
            return
        step = self.random.randrange(4)
        if step == 0:
            self.change(ident, ("Kept:\\Flagged", "Life:\\Flagged"), i.uid, "COPY", uid, FOLDERS[1])
        elif step == 1:
            self.change(ident, ("Kept:\\Flagged",), i.uid, "MOVE", uid, FOLDERS[1])
        elif step == 2 and self.change(ident, ("Life:\\Deleted",), i.uid, "STORE", uid, "FLAGS",
                                       "(\\Deleted)") is not None:
            if self.change(ident, (), i.uid, "EXPUNGE", uid) is not None:
                self.bring_back(ident)

    def bring_back(self, ident):
        """A command that fails may have done it."""
        digest, now, _ = self.states[ident]
        self.states[ident] = digest, now, ("Life:",)
        try:
            self.demo.command("account", "restore", self.login, "--folder", FOLDERS[0], "--subject", ident)
        except (demo_module.Failed, subprocess.SubprocessError):
            return
        self.states[ident] = digest, ("Life:",), None
        self.changes += 1
        self.restored += 1

    def check(self):
        """Problems. The client has to rest meanwhile."""
        found, problems = {}, []
        i = self.connect()
        for folder in FOLDERS:
            count = int(i.select(folder, readonly=True)[1][0] or 0)
            for part in (i.fetch(f"1:{count}", "(FLAGS BODY.PEEK[])")[1] if count else ()):
                if isinstance(part, tuple):
                    mail = ledger_module.examine(part[1], folder)[0]
                    flags = re.search(rb"FLAGS \(([^)]*)\)", part[0])[1].decode().split()
                    flags = " ".join(sorted(f for f in flags if f != "\\Recent"))
                    found.setdefault(mail.id, []).append((f"{folder}:{flags}", mail.digest))
        i.logout()
        for ident in found.keys() - self.states.keys():
            problems.append(f"{ident}: a message that nobody sent, by IMAP of {self.login}")
        for ident, (digest, now, asked) in self.states.items():
            there = tuple(sorted(place for place, _ in found.get(ident, ())))
            if any(d != digest for _, d in found.get(ident, ())):
                problems.append(f"{ident}: altered")
            if there != now and there != asked:
                lost = "LOST: " if not there else ""
                problems.append(f"{ident}: {lost}by IMAP in {there}, answered {now}, asked for {asked}")
            self.states[ident] = digest, there, None  # nothing is open any more
        return problems
