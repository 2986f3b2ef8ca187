"""Each check on a case where it has to fail, and on one where it must not."""
import glob
import os
import random as random_module
import sqlite3

import images
import ledger as ledger_module
import model


def book_with(*states):
    book = ledger_module.Ledger("s")
    random = random_module.Random(1)
    made = []
    for state in states:
        m = book.new(2000, random, "a@x", "b@x", {"ann"}, set())
        m.state, m.replied = state, 1.0
        made.append(m)
    return book, made


def found(m, place="ann", data=None):
    return ledger_module.examine(data or m.data, place)[0]


def flipped(data, at=-10):
    data = bytearray(data)
    data[at] ^= 1
    return bytes(data)


def ledger_checks():
    """(name, should there be problems, problems)"""
    book, (m,) = book_with("positive")
    trace = b"Return-Path: <a@x>\r\nReceived: from y\r\n\tby z; now\r\n"
    yield "all is well", False, book.check({"ann": [found(m, data=trace + m.data)]})
    yield "a promised message that is not there", True, book.check({"ann": []})
    yield "a message that is there twice", True, book.check({"ann": [found(m), found(m)]})
    yield "a flipped bit", True, book.check({"ann": [found(m, data=flipped(m.data))]})
    yield "a lost last line", True, book.check({"ann": [found(m, data=m.data[:-78])]})
    yield "a message for somebody else", True, book.check({"ann": [found(m)], "bob": [found(m)]})
    yield "a foreign line in front", True, ledger_module.examine(b"X-Evil: 1\r\n" + m.data, "ann")[1]
    yield "a message that nobody sent", True, \
        book.check({"ann": [found(m), ledger_module.examine(b"Hello\r\n", "ann")[0]]})
    book, (m,) = book_with("unknown")
    yield "an unknown one is there once", False, book.check({"ann": [found(m)]})
    yield "an unknown one is not there", False, book.check({"ann": []})
    yield "an unknown one is there twice", True, book.check({"ann": [found(m), found(m)]})
    m.mailboxes = frozenset(("ann", "bob"))
    yield "an unknown one is there in part", True, book.check({"ann": [found(m)], "bob": []})
    book, (m,) = book_with("refused")
    yield "a refused one is there", True, book.check({"ann": [found(m)]})
    book, (m,) = book_with("positive")
    m.mailboxes, m.remote = frozenset(), frozenset(("g@far",))
    yield "a promised one was never sent on", True, book.check({}, set())
    yield "it was sent on", False, book.check({}, {(m.id, "g@far")})


def state_checks():
    want = {"a": ("d", {("ann/INBOX:0",)}), "b": ("e", {(), ("ann/INBOX:5",)})}
    good = "found a d ann/INBOX:0\n"
    yield "the promised state", False, images.compare(want, good)
    yield "a lost message", True, images.compare(want, "")
    yield "the same message twice", True, images.compare(want, good + good)
    yield "an altered body", True, images.compare(want, "found a x ann/INBOX:0\n")
    yield "lost flags", True, images.compare(want, good + "found b e ann/INBOX:0\n")
    yield "flags that were asked for", False, images.compare(want, good + "found b e ann/INBOX:5\n")
    yield "a body that cannot be read", True, images.compare(want, good + "broken ann/INBOX:0 7 x\n")
    yield "a stranger", True, images.compare(want, good + "found z d ann/INBOX:0\n")


class Script:
    """A short recording by hand: one directory (inode 1) and files."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "selftest")
        os.makedirs(os.path.join(self.path, "empty"), exist_ok=True)
        self.disk = model.Disk(os.path.join(self.path, "empty"))
        self.disk.nodes = {1: self.disk.root}
        self.flushes = 0
        self.images = 0

    def do(self, kind, inode=0, a=0, b=0, data=b""):
        self.disk.take(model.Entry(kind, inode, a, b, data))

    def create(self, inode, name):
        self.do(model.CREATE, inode, 1, 0, name)

    def write(self, inode, at, data):
        self.do(model.WRITE, inode, at, 0, data)

    def flush(self, inode):
        self.flushes += 1
        self.do(model.FLUSH_BEGIN, inode, self.flushes)
        self.do(model.FLUSH_END, inode, self.flushes)

    def possible(self, how="random", count=300):
        """The different trees that a power cut could leave now."""
        seen = set()
        for seed in range(count):
            self.images += 1
            path = os.path.join(self.path, f"i{self.images}")
            self.disk.image(path, random_module.Random(seed), how)
            tree = []
            for name in sorted(os.listdir(path)):
                with open(os.path.join(path, name), "rb") as f:
                    tree.append((name, f.read()))
                os.unlink(os.path.join(path, name))
            os.rmdir(path)
            seen.add(tuple(tree))
        return seen


def model_checks(directory):
    s = Script(directory)
    a, b, c = b"a" * 512, b"b" * 512, b"c" * 512
    s.create(2, b"f")
    s.write(2, 0, a + a)
    s.flush(2)
    yield "a flushed file without a flushed name may be gone", False, () not in s.possible()
    s.flush(1)
    yield "a flushed file and name are there", False, s.possible() != {((("f", a + a)),)}
    s.write(2, 0, b + b)
    s.write(2, 0, c)
    trees = {t[0][1] for t in s.possible()}
    yield "sectors arrive one by one, each as it once was", False, \
        trees != {x + y for x in (a, b, c) for y in (a, b)}
    yield "nothing unflushed arrives", False, s.possible("none") != {((("f", a + a)),)}
    yield "everything arrives", False, s.possible("all") != {((("f", c + b)),)}
    s.do(model.FLUSH_BEGIN, 2, 99)
    s.write(2, 512, c)
    s.do(model.FLUSH_END, 2, 99)
    yield "a flush covers only what was written before it began", False, \
        {t[0][1] for t in s.possible()} != {c + b, c + c}
    s.create(3, b"g")
    s.do(model.RENAME, 3, 1, 1, b"g\0f")
    yield "a rename is all or nothing, and after what came before it", False, \
        {tuple(n for n, _ in t) for t in s.possible()} != {("f",), ("f", "g")}


def invariant_checks(directory):
    """On an index of our own with one wrong counter each."""
    text = ""
    for schema in sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../sql/*_index.sql"))):
        with open(schema) as f:
            text += f.read().replace("--sqlite", "")
    text = "\n".join(line for line in text.split("\n") if not line.startswith("--"))
    folder = os.path.join(directory, "index")
    os.mkdir(folder)
    with sqlite3.connect(os.path.join(folder, "index.db")) as db:
        db.executescript(text)
    db.close()
    yield "an empty index", False, images.invariants(folder)
    with sqlite3.connect(os.path.join(folder, "index.db")) as db:
        row = [r[1] for r in db.execute("PRAGMA table_info(mailbox)")]
        db.execute(f"INSERT INTO mailbox ({','.join(row)}) VALUES ({','.join('?' * len(row))})",
                   ["" if c in ("name", "keywords") else int(c == "messages") for c in row])
    db.close()
    yield "a mailbox that counts a message too many", True, images.invariants(folder)


def run(_, directory):
    """(passed, failed)"""
    passed = failed = 0
    for checks in (ledger_checks(), state_checks(), model_checks(directory),
                   invariant_checks(directory)):
        for name, should, problems in checks:
            if bool(problems) == should:
                passed += 1
            else:
                failed += 1
                print(f"FAILED: {name}: {'not noticed' if should else problems}")
    return passed, failed
