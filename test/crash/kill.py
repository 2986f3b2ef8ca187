"""The kill loop: mail flows in and on, roles are killed at random moments, and nothing that got a 250
may be lost, altered or there twice."""
import imaplib
import os
import poplib
import random as random_module
import ssl
import time

import demo as demo_module
import ledger as ledger_module
import life
import load

# What is killed, how often. "all": every role at once; "everything": the master too;
# "master": only the master, so that the roles have to notice.
VICTIMS = (("store", 34), ("mx", 12), ("submit", 10), ("courier", 12), ("vault", 8), ("mailbox", 4),
           ("dns", 4), ("all", 9), ("everything", 5), ("master", 2))
BACK_IN = 30     # seconds
LATE, LONG_ENOUGH = 5, 1.5
DRAIN = 150      # seconds for what is queued to reach the sink
FAR, NEAR = "far.test", "near.test"


class Mailbox:
    """What has ever been read of one mailbox. Each message is fetched once, deleted ones must stay away."""

    def __init__(self, login, password):
        self.login, self.password = login, password
        self.found = {}       # unique id: Found
        self.deleted = set()

    def read(self, env, delete, problems):
        context = ssl.create_default_context(cafile=env["CAFILE"])
        p = poplib.POP3_SSL(env["HOST"], env["POP3S_PORT"], context=context, timeout=60)
        p.user(self.login)
        p.pass_(self.password)
        now = {}
        for line in p.uidl()[1]:
            number, unique = line.decode().split()
            now[unique] = int(number)
        for unique in sorted(self.deleted & now.keys()):
            problems.append(f"{self.found[unique].id}: came back after it was deleted from {self.login}")
        for unique in sorted(self.found.keys() - now.keys() - self.deleted):
            problems.append(f"{self.found[unique].id}: has vanished from the mailbox of {self.login}")
        for unique in sorted(now.keys() - self.found.keys(), key=now.get):
            data = b"\r\n".join(p.retr(now[unique])[1]) + b"\r\n"
            found, wrong = ledger_module.examine(data, f"{self.login} {unique}")
            if wrong:
                problems.append(wrong)
            self.found[unique] = found
        if delete:
            for number in now.values():
                p.dele(number)
        p.quit()
        if delete:
            self.deleted |= now.keys()

    def compare_with_imap(self, env, problems):
        """The same messages by IMAP, read anew."""
        context = ssl.create_default_context(cafile=env["CAFILE"])
        i = imaplib.IMAP4_SSL(env["HOST"], env["IMAPS_PORT"], ssl_context=context, timeout=60)
        i.login(self.login, self.password)
        count = int(i.select("INBOX", readonly=True)[1][0])
        read = []
        for first in range(1, count + 1, 100):
            data = i.fetch(f"{first}:{min(count, first + 99)}", "(BODY.PEEK[])")[1]
            for part in data:
                if isinstance(part, tuple):
                    read.append(ledger_module.examine(part[1], "imap")[0][:2])
        i.logout()
        here = sorted(tuple(f[:2]) for u, f in self.found.items() if u not in self.deleted)
        if sorted(read, key=str) != sorted(here, key=str):
            problems.append(f"IMAP and POP3 differ for {self.login}: {len(read)} and {len(here)}")


class Loop:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.random = random_module.Random(options.seed)
        self.sink = load.Sink(options.seed)
        self.sink.start()
        self.book = ledger_module.Ledger(f"k{options.seed}", os.path.join(directory, "ledger"))
        self.sink.book = self.book
        route = f"smtp://127.0.0.1:{self.sink.port}"
        self.demo = demo_module.Demo(options.program, os.path.join(directory, "demo"),
                                     [f"route.{FAR}={route}", f"route.{NEAR}={route}"])
        self.outages = []     # (who, from, to)
        self.problems = []
        self.passed = 0
        self.clients = []
        self.lives = []
        self.boxes = []
        self.roles = frozenset()
        self.seen_lines = 0

    # ---- set up ----

    def begin(self):
        os.mkdir(self.demo.directory)
        self.demo.start()
        env = self.demo.env
        for name in ("SMTP_PORT", "POP3S_PORT"):
            if name not in env:
                raise demo_module.Failed(f"the demo has no {name}")
        found = self.demo.roles()
        self.roles = frozenset(found)
        for p in found.values():
            p.close()
        ann, bob, here = env["USER1"], env["USER2"], env["DOMAIN"]
        self.boxes = [Mailbox(ann, env["PASS1"]), Mailbox(bob, env["PASS2"])]
        for alias, *to in (("team", ann, bob), ("office", bob), ("fwd", f"guest@{FAR}"),
                           ("mix", ann, f"mix@{FAR}")):
            self.demo.command("alias", "set", f"{alias}@{here}", *to)
        local = {ann: ((ann,), ()), bob: ((bob,), ()), f"team@{here}": ((ann, bob), ()),
                 f"office@{here}": ((bob,), ()), f"Ann+tag@{here}": ((ann,), ())}
        far = {}
        if "courier" in self.roles:
            local |= {f"fwd@{here}": ((), (f"guest@{FAR}",)),
                      f"mix@{here}": ((ann,), (f"mix@{FAR}",))}
            far = {a: ((), (a,)) for a in (f"one@{NEAR}", *(f"u{i}@{FAR}" for i in range(4)))}
        for i in range(4):
            self.clients.append(load.Client(f"mx{i}", env, self.book, local,
                                            self.options.seed * 10 + i))
        if "SUBMISSION_PORT" in env:
            for i, n in enumerate("12"):
                self.clients.append(load.Client(
                    f"submit{i}", env, self.book, {**local, **far}, self.options.seed * 10 + 5 + i,
                    user=(env["USER" + n], env["PASS" + n])))
        for c in self.clients:
            c.on_positive = self._positive
            c.start()
        if "IMAPS_PORT" in env:
            self.lives = [life.Life(self.demo, n, self.options.seed * 10 + n) for n in (1, 2)]
        for one in self.lives:
            one.start()
        print(f"     killing {', '.join(sorted(self.roles))}", flush=True)
        self.load(True)

    def _positive(self, _):
        if self.trap is not None:
            victims, self.trap = self.trap, None
            self._kill_now(victims)

    trap = None

    def load(self, on):
        for c in self.clients + self.lives:
            (c.go.set if on else c.go.clear)()
        if on:
            return
        until = time.monotonic() + load.PATIENCE + 30
        for c in self.clients + self.lives:
            while not c.idle.is_set() or c.go.is_set():
                if time.monotonic() > until:
                    raise demo_module.Failed(f"client {c.name} still waits for a reply")
                time.sleep(0.02)

    # ---- killing ----

    def _kill_now(self, victims):
        for p in victims:
            self.demo.killed.add(p.pid)
            p.kill()

    def _kill_at_some_moment(self, victims):
        """In the moment when a client reads a 250, when the store writes to its log, or at any."""
        at = self.random.random()
        if at < 0.2:
            self.trap = victims
            until = time.monotonic() + 2
            while self.trap is not None and time.monotonic() < until:
                time.sleep(0.001)
            self.trap, victims = None, self.trap or []
        elif at < 0.75:
            self._kill_at_write(victims)
            return
        self._kill_now(victims)

    def _kill_at_write(self, victims):
        """In a process of its own: with all the threads here it would come too late."""
        watch = demo_module.Watch(os.path.join(self.demo.directory, "data", "log"))
        delay = self.random.choice((0, 0, self.random.expovariate(3000)))
        self.demo.killed |= {p.pid for p in victims}
        child = os.fork()
        if child == 0:
            watch.wait(2)
            until = time.perf_counter() + delay
            while time.perf_counter() < until:
                pass
            for p in victims:
                p.kill()
            os._exit(0)
        os.waitpid(child, 0)
        watch.close()

    def _patience(self):
        """A role that dies at once is held back twice as long each time. What took long now lives long enough, so that
        a run of bad luck does not reach the limit."""
        _, began, ended = self.outages[-1] if self.outages else (None, 0, 0)
        return LONG_ENOUGH if ended - began > LATE else 0

    def cycle(self, number):
        names, weights = zip(*[v for v in VICTIMS if v[0] in self.roles or
                               v[0] in ("all", "everything", "master")])
        what = self.random.choices(names, weights)[0]
        time.sleep(self._patience() + self.random.random() ** 2 * 1.5)
        roles = self.demo.roles()
        if roles.keys() != self.roles:
            raise demo_module.Failed(f"not running: {', '.join(sorted(self.roles - roles.keys()))}")
        whole = what in ("everything", "master")
        victims = [] if what == "master" else list(roles.values()) if what in ("all", "everything") \
            else [roles[what]]
        self.random.shuffle(victims)
        if whole:
            victims.insert(0, demo_module.Process("master", self.demo.process.pid))
        began = time.time()
        self._kill_at_some_moment(victims)
        if what == "master":
            self.demo.killed |= {p.pid for p in roles.values()}
        self._wait_back(what, whole, roles, victims)
        self.outages.append((what, began, time.time()))
        for p in {id(p): p for p in [*roles.values(), *victims]}.values():
            p.close()
        self._check_log(f"cycle {number} ({what})")
        for c in self.clients:
            if c.error:
                raise demo_module.Failed(c.error)
        print(f"{number:4} {what:10} back after {self.outages[-1][2] - began:5.2f} s, "
              f"{self.book.count('positive')} promised", flush=True)
        self.passed += 1

    def _wait_back(self, what, whole, roles, victims):
        for p in victims:
            if not p.wait(10):
                raise demo_module.Failed(f"the {p.name} does not end although it was killed")
        if whole:
            self.demo.process.wait()
            for p in roles.values():
                if not p.wait(BACK_IN):
                    self.problems.append(f"the {p.name} outlived its master")
                    p.kill()
            self.demo.start(BACK_IN)
        self.demo.wait_roles(self.roles, BACK_IN)

    # ---- checking ----

    def _check_log(self, when):
        self.demo.follow()
        for e in self.demo.events[self.seen_lines:]:
            if not self._expected(e):
                self.problems.append(f"{when}: unexpected in the log: {e.line}")
        self.seen_lines = len(self.demo.events)

    def _expected(self, e):
        """May this line be there? Warnings and errors only as the consequence of what we did."""
        if e.level in ("info", "debug"):
            return True
        lately = {who for who, _, _ in self.outages[-3:]}
        if e.name == "role.ended":
            return self.demo.was_killed(e.pid)
        if e.name == "role.orphaned":
            return bool(lately & {"everything", "master"})
        if e.name == "courier.delivery":  # the sink's moods
            return e.fields.get("code") == "451" or "connection broke" in e.line
        if e.name == "courier.unrecorded":
            return bool(lately & {"store", "all", "everything", "master"})
        return False

    def reconcile(self, when, last=False):
        self.load(False)
        before = len(self.problems)
        for box in self.boxes:
            box.read(self.demo.env, not last and self.random.random() < 0.5, self.problems)
        if last and "IMAPS_PORT" in self.demo.env:
            for box in self.boxes:
                box.compare_with_imap(self.demo.env, self.problems)
        for one in self.lives:
            self.problems += one.check()
        boxes = {b.login: list(b.found.values()) for b in self.boxes}
        found = self.book.check(boxes, self._sent() if last else None)
        self.problems += [p for p in found if p not in self.problems]
        self.problems += self.sink.problems
        self.sink.problems = []
        self._check_log(when)
        if len(self.problems) == before:
            self.passed += 1
        print(f"     {when}: {self.book.count('positive')} promised, {self.book.count('unknown')} unknown, "
              f"{sum(map(len, boxes.values()))} found, {len(self.sink.taken)} sent on, "
              f"{sum(one.changes for one in self.lives)} changes by IMAP, "
              f"{sum(one.restored for one in self.lives)} brought back, "
              f"{len(self.problems) - before} problems", flush=True)

    def _sent(self):
        with self.sink.lock:
            return set(self.sink.taken)

    def drain(self):
        """Everything that was promised to go on has to arrive."""
        until = time.monotonic() + DRAIN
        while self.book.owed(remote_only=True) - self._sent():
            if time.monotonic() > until:
                return  # check() names what is missing
            time.sleep(0.2)
        time.sleep(0.5)

    # After which the result of a delivery may be unknown.
    hiding = {"store", "courier", "all", "everything", "master"}

    def check_duplicates(self):
        """Twice only when the result of the first time could not be recorded."""
        twice = 0
        for (ident, address), times in sorted(self.sink.taken.items()):
            for t in times[:-1]:
                twice += 1
                if not any(who in self.hiding and start - 0.5 <= t <= end + 1.0
                           for who, start, end in self.outages):
                    self.problems.append(f"{ident}: sent twice to {address}, at {times}, and nothing "
                                         "was killed then")
        print(f"     {twice} sent again because a kill hid that they had arrived", flush=True)

    def end(self):
        for c in self.clients + self.lives:
            c.end = True
        self.drain()
        self.problems += self.demo.stop()
        self._check_log("the end")
        self.demo.killed.clear()
        self.demo.start()
        self.reconcile("after a restart", last=True)
        self.check_duplicates()
        self.problems += self.demo.stop()


def run(options, directory):
    """(passed, problems)."""
    loop = Loop(options, directory)
    try:
        loop.begin()
        for number in range(1, options.cycles + 1):
            loop.cycle(number)
            if number % 10 == 0:
                loop.reconcile(f"after {number} cycles")
                loop.load(True)
        loop.load(False)
        loop.end()
    except (demo_module.Failed, OSError, poplib.error_proto, imaplib.IMAP4.error) as e:
        loop.problems.append(f"{type(e).__name__}: {e}")
    finally:
        for c in loop.clients + loop.lives:
            c.end = True
        loop.demo.kill_everything()
        loop.sink.close()
    return loop.passed, loop.problems
