"""The power-cut replay: record what a store does to its disk, build the directories that could be left
when the power goes, open the store on each, and compare with what was promised until then."""
import bisect
import collections
import concurrent.futures
import glob
import itertools
import json
import os
import random as random_module
import shutil
import signal
import sqlite3
import subprocess
import time

import demo as demo_module
import ledger as ledger_module
import load
import model
import summary

OPEN_SECONDS = 60
Case = collections.namedtuple("Case", "number cut how seed")


class Tools:
    def __init__(self, build):
        self.drive = os.path.join(build, "test/crash/drive")
        self.recover = os.path.join(build, "test/crash/recover")
        self.library = os.path.join(build, "test/crash/record.so")

    def missing(self):
        return [p for p in (self.drive, self.recover, self.library) if not os.path.exists(p)]

    def environment(self, recording, directory):
        return {**os.environ, "LD_PRELOAD": self.library, "CRASH_RECORD": recording,
                "CRASH_DIR": directory}


# ---- what was promised ----

class Promises:
    """The states that each message may be in, at any cut of the recording."""

    def __init__(self, entries):
        self.events = []  # (entry number, mark)
        for number, e in enumerate(entries):
            if e.kind == model.MARK:
                self.events.append((number, json.loads(e.data)))
        self.numbers = [n for n, _ in self.events]

    @staticmethod
    def _state(text):
        return tuple(sorted(text.split()))

    def at(self, cut):
        """{id: (digest, {allowed states})}, with the marks before entry number `cut`."""
        answered, asked, digests = {}, {}, {}
        for _, m in self.events[:bisect.bisect_left(self.numbers, cut)]:
            if "ask" in m:
                asked[m["id"]] = self._state(m["ask"])
                digests[m["id"]] = m["digest"]
            elif "answered" in m:
                answered[m["id"]] = asked.pop(m["id"])
            elif "undone" in m:
                asked.pop(m["id"], None)
        return {i: (d, {answered.get(i, ())} | ({asked[i]} if i in asked else set()))
                for i, d in digests.items()}

    def snapshot(self, cut):
        """The position of the last snapshot that was promised."""
        return max((m["snapshot"] for n, m in self.events if n < cut and "snapshot" in m), default=0)

    def unanswered(self):
        """Deliveries whose client would hand them over once more."""
        answered = {m["id"] for _, m in self.events if "answered" in m}
        return sorted({m["id"] for _, m in self.events if "ask" in m and m["id"].endswith("d")} -
                      answered)

    def answers(self):
        return [n for n, m in self.events if "answered" in m]


def compare(promises, output):
    """Problems of what `recover` has found."""
    found, problems = collections.defaultdict(list), []
    for line in output.splitlines():
        word, rest = line.split(" ", 1)
        if word == "broken":
            problems.append(f"cannot be read: {rest}")
        elif word == "found":
            ident, digest, place = rest.split(" ", 2)
            found[ident].append((place, digest))
    found.pop("probe", None)
    for ident in found.keys() - promises.keys():
        problems.append(f"{ident}: a message that nobody sent, in {found[ident][0][0]}")
    for ident, (digest, allowed) in promises.items():
        places = tuple(sorted(place for place, _ in found[ident])) if ident in found else ()
        if any(d != digest for _, d in found.get(ident, ())):
            problems.append(f"{ident}: altered")
        if places not in allowed:
            want = " or ".join(str(list(a)) for a in sorted(allowed))
            lost = "LOST: " if not places else ""
            problems.append(f"{ident}: {lost}found in {list(places)}, promised {want}")
    return problems


def read_invariants():
    """[(what is wrong, statement)]"""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "invariants.sql")) as f:
        parts = f.read().split("\n\n")[1:]
    return [(what.removeprefix("-- "), sql) for what, sql in (p.split("\n", 1) for p in parts)]


def check_snapshots(directory, promised):
    """Each is whole and not older than its name says, and the log is there from it on."""
    problems = []
    segments = {int(os.path.basename(p)[:10]) for p in glob.glob(f"{directory}/log/*.seg")}
    # The two that are kept; an older one may be back, as nobody flushes its removal.
    snapshots = sorted(glob.glob(f"{directory}/snapshot/*-*.db"))[-2:]
    newest = max((int(os.path.basename(p)[11:-3]) for p in snapshots), default=0)
    if newest < promised:
        problems.append(f"wrong: the snapshot at record {promised} is lost")
    for path in snapshots:
        name = os.path.basename(path)
        segment, sequence = (int(n) for n in name[:-3].split("-"))
        try:
            with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as db:
                whole = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                holds = db.execute("SELECT sequence FROM log_position").fetchone()[0]
            db.close()
            if not whole or holds < sequence:
                problems.append(f"wrong: {name} is damaged, or older than its name: {holds}")
        except sqlite3.Error as e:
            problems.append(f"wrong: {name}: {e}")
        gone = set(range(max(segment, 1), max(segments, default=0))) - segments
        if gone:
            problems.append(f"wrong: {name} needs log segments that are gone: {sorted(gone)[:5]}")
    return problems


def invariants(directory, snapshot=0):
    problems = check_snapshots(directory, snapshot)
    with sqlite3.connect(f"file:{directory}/index.db?mode=ro", uri=True) as db:
        for what, sql in (*read_invariants(), ("the index", "PRAGMA integrity_check")):
            rows = [r for r in db.execute(sql).fetchmany(3) if r != ("ok",)]
            if rows:
                problems.append(f"wrong: {what}: {rows}")
    db.close()
    return problems


# ---- the recording ----

def record(tools, directory, seed, jobs, flushes=True):
    """Work for a store, in five runs on one directory; the second ends between a write to the log and its
    flush, the third between the naming of a segment and its flush, the fourth after an answer. Gives the path. `flushes`: this build has any."""
    data, recording = os.path.join(directory, "data"), os.path.join(directory, "recording")
    os.mkdir(data)
    open(recording, "wb").close()
    owed = ()
    for run, flush, kill in ((1, "", 0), (2, f".seg:{jobs}", 0), (3, "/log:3", 0),
                             (4, "", jobs * 3), (5, "", 0)):
        environment = {**tools.environment(recording, data), "CRASH_SLOW": "/log"}
        if flush and not flushes:
            continue
        if flush:
            environment["CRASH_KILL"] = flush
        p = subprocess.run([tools.drive, data, recording, f"r{run}", str(seed), str(jobs), str(kill),
                            *owed], env=environment, timeout=300,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, check=False)
        killed = flush or kill
        if p.returncode != (-signal.SIGKILL if killed else 0):
            raise RuntimeError(f"drive ended with {p.returncode}: {p.stderr.decode()[-2000:]}")
        if killed:
            model.catch_up(recording, empty_disk(directory, data), data)
            owed = Promises(model.read_recording(recording)).unanswered()
    return recording


def empty_disk(directory, root):
    """The disk before a recording of `root`, which was empty then."""
    empty = os.path.join(directory, "empty")
    os.makedirs(empty, exist_ok=True)
    disk = model.Disk(empty)
    disk.nodes = {os.stat(root).st_ino: disk.root}
    return disk


class Notary:
    """Puts what clients of a recorded demo are promised into the recording."""

    def __init__(self, recording):
        self.fd = os.open(recording, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def ask(self, m):
        model.mark(self.fd, json.dumps({"id": m.id, "digest": m.digest, "ask": " ".join(
            f"{login}/INBOX:0" for login in sorted(m.mailboxes))}))

    def answered(self, m):
        model.mark(self.fd, json.dumps({"id": m.id, "answered": 1}))


def record_demo(tools, program, directory, seed, seconds=5):
    """A whole demo under load on port 25: here a promise is the 250 that a client has read."""
    data, recording = os.path.join(directory, "demo/data"), os.path.join(directory, "recording")
    os.makedirs(data)
    open(recording, "wb").close()
    demo = demo_module.Demo(program, os.path.dirname(data), ["sandbox=off", "store.segment=1MB"],
                            tools.environment(recording, data))
    book = ledger_module.Ledger(f"d{seed}", os.path.join(directory, "ledger"))
    book.notary = Notary(recording)
    clients = []
    try:
        demo.start()
        to = {demo.env[u]: ((demo.env[u],), ()) for u in ("USER1", "USER2")}
        to["postmaster@" + demo.env["DOMAIN"]] = ((demo.env["USER1"],), ())
        clients = [load.Client(f"mx{i}", demo.env, book, to, seed * 10 + i, pause=0.01)
                   for i in range(6)]
        for c in clients:
            c.go.set()
            c.start()
        time.sleep(seconds)
        for c in clients:
            c.end = True
        for c in clients:
            c.join(load.PATIENCE + 30)
        problems = [c.error for c in clients if c.error] + demo.stop()
        if problems:
            raise RuntimeError("; ".join(problems))
    finally:
        demo.kill_everything()
        os.close(book.notary.fd)
    return recording, data


# ---- the images ----

class Replay:
    def __init__(self, tools, directory, recording, data=None):
        """data: the directory that was recorded. It was empty before."""
        self.tools, self.directory = tools, directory
        self.entries = model.read_recording(recording)
        self.promises = Promises(self.entries)
        self.root = data or os.path.join(directory, "data")
        self.images = itertools.count()

    def cases(self, count, seed):
        """Where to cut: before and after the end of flushes, after answers, and anywhere."""
        random = random_module.Random(seed)
        ends = [n for n, e in enumerate(self.entries) if e.kind == model.FLUSH_END]
        answers = self.promises.answers()
        cases = []
        for number in range(count):
            at = random.random()
            if at < 0.35 and ends:
                cut = random.choice(ends)
            elif at < 0.55 and ends:
                cut = random.choice(ends) + 1
            elif at < 0.8:
                cut = random.choice(answers) + 1
            else:
                cut = random.randrange(len(self.entries) + 1)
            how = random.choices(("none", "all", "random"), (15, 10, 75))[0]
            cases.append(Case(number, cut, how, random.randrange(1 << 32)))
        return sorted(cases, key=lambda c: c.cut)

    def without(self, number):
        """Leave out every flush for which this is true, as if the store did not ask for it."""
        gone = model.Entry(model.MARK, 0, 0, 0, b"{}")
        self.entries = [gone if e.kind in (model.FLUSH_BEGIN, model.FLUSH_END) and number(e.a) else e
                        for e in self.entries]

    def kinds(self):
        """{inode: "log", "blob" or "directory"}"""
        kinds = {}
        for e in self.entries:
            if e.kind == model.CREATE and e.data.endswith(b".new"):
                kinds[e.inode] = "log"
            elif e.kind == model.CREATE and len(e.data) == 32:
                kinds[e.inode] = "blob"
            elif e.kind == model.MKDIR:
                kinds[e.inode] = "directory"
        return kinds

    def forget_flushes(self, kind):
        """As if the store did not flush this kind of files."""
        kinds = self.kinds()
        self.entries = [e if e.kind != model.FLUSH_END or kinds.get(e.inode) != kind else
                        model.Entry(e.kind, e.inode, e.a, 1, b"") for e in self.entries]

    def run(self, cases, limit=None, spoil=None):
        """Check the cases, two at a time. Gives {case number: problems}. `limit`: enough problems.
        `spoil`: a function that damages an image on purpose."""
        results, waiting = {}, collections.deque()
        disk, at = empty_disk(self.directory, self.root), 0

        def settle():
            case, future = waiting.popleft()
            results[case.number] = future.result()

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for case in cases:
                while at < case.cut:
                    disk.take(self.entries[at])
                    at += 1
                image = os.path.join(self.directory, f"image{next(self.images)}")
                disk.image(image, random_module.Random(case.seed), case.how)
                if spoil:
                    spoil(image, random_module.Random(case.seed))
                waiting.append((case, pool.submit(self.check, case, image)))
                if len(waiting) > 3:
                    settle()
                if limit and sum(1 for p in results.values() if p) >= limit:
                    break
            while waiting:
                settle()
        if disk.odd:
            results[-1] = [f"the recording has what no image can be made of: {o}"
                           for o in sorted(set(disk.odd))]
        return results

    def check(self, case, image):
        """Problems of one image; it is removed unless there are some."""
        promises = self.promises.at(case.cut)
        random = random_module.Random(case.seed + 1)
        problems = []
        if random.random() < 0.12:
            image, problems = self._cut_again(image, random)
        snapshot = self.promises.snapshot(case.cut)
        problems = problems or self._open(image, promises, snapshot)
        if not problems and random.random() < 0.2:
            problems = ["at the second start: " + p for p in self._open(image, promises, snapshot)]
        if not problems:
            shutil.rmtree(image)
        return problems

    def _cut_again(self, image, random):
        """The power goes once more while the store recovers."""
        recording = image + ".recording"
        disk = model.Disk(image)
        open(recording, "wb").close()
        r = self._recover(image, self.tools.environment(recording, image))
        if r.returncode:
            return image, [f"does not open: {r.stderr.decode(errors='replace').strip()[-300:]}"]
        entries = model.read_recording(recording)
        # Behind the cut the probe may have been delivered; it is nobody's.
        for e in entries[:random.randrange(len(entries) + 1)]:
            disk.take(e)
        disk.image(image + "b", random, random.choice(("none", "all", "random", "random")))
        shutil.rmtree(image)
        os.unlink(recording)
        return image + "b", [f"in the second recording: {o}" for o in disk.odd]

    def _recover(self, image, environment=None):
        try:
            return subprocess.run([self.tools.recover, image], env=environment, timeout=OPEN_SECONDS,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess([], 124, b"", b"took too long")

    def _open(self, image, promises, snapshot):
        r = self._recover(image)
        if r.returncode:
            return [f"does not open: {r.stderr.decode(errors='replace').strip()[-300:]}"]
        return compare(promises, r.stdout.decode(errors="replace")) + \
            invariants(image, snapshot)


def report(results, cases, keep, most=8):
    """Print what is wrong; gives how many images are."""
    by_number = {c.number: c for c in cases}
    bad = {n: p for n, p in results.items() if p}
    for problems in bad.values():
        for p in problems:
            summary.note(p)
    for n, problems in itertools.islice(sorted(bad.items()), most):
        case = by_number.get(n)
        print(f"image {f'--image {case.cut}:{case.how}:{case.seed}' if case else ''}:")
        for p in problems[:10]:
            print(f"    {p}")
        if len(problems) > 10:
            print(f"    and {len(problems) - 10} more")
    if bad:
        print(f"(images that failed are in {keep}; with `--again {keep} --image ...` they are made anew)")
    return len(bad)


def flip_a_bit(image, random):
    """Somewhere in what the log or a blob holds."""
    files = [os.path.join(d, f) for d, _, names in os.walk(image) for f in names
             if f.endswith(".seg") or len(f) == 30]
    for path in random.sample(files, len(files)):
        with open(path, "r+b") as f:
            data = f.read().rstrip(b"\0")
            if len(data) > 4096:
                at = random.randrange(1024, len(data))
                f.seek(at)
                f.write(bytes((data[at] ^ 1 << random.randrange(8),)))
                return
