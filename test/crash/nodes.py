"""Two machines with one database: PostgreSQL with a synchronous standby. Under load, roles and whole
machines are killed, the primary is killed and the standby takes its place; what got a 250 may not be lost,
altered or there twice, whichever machine has said it."""
import imaplib
import os
import poplib
import shutil
import sys
import time

import demo as demo_module
import kill

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools"))
import pgserver

BETWEEN = (("store", 4), ("courier", 2), ("node", 4))  # killed before a failover
BACK_IN = 30


class Loop(kill.Loop):
    hiding = {"failover", "store", "courier", "node"}

    def __init__(self, options, directory):
        super().__init__(options, directory)
        self.primary = self.standby = self.other = None

    @property
    def nodes(self):
        return [n for n in (self.demo, self.other) if n]

    # ---- set up ----

    def begin(self):
        self.primary = pgserver.Server(safe=True)
        url = self.primary.fresh()
        self.standby = self.primary.standby(safe=True)
        self.primary.synchronous(self.standby)
        url = self.primary.url(url.rsplit("/", 1)[1], self.standby)
        self.demo.settings.append("store=" + url)
        self.other = demo_module.Demo(self.options.program, self.demo.directory + "2", self.demo.settings)
        super().begin()
        self._take_seal()
        self.other.start()
        for c in self.clients[::2]:
            c.env = self.other.env

    def _take_seal(self):
        os.makedirs(self.other.directory + "/data", mode=0o700)
        for name in ("data/seal", "ca.pem"):
            shutil.copy(f"{self.demo.directory}/{name}", f"{self.other.directory}/{name}")
        os.chmod(self.other.directory + "/data/seal", 0o600)

    # ---- what happens ----

    def cycle(self, number):
        names, weights = zip(*BETWEEN)
        for what in (self.random.choices(names, weights)[0], "failover"):
            time.sleep(self.random.random() * 3)
            began = time.time()
            getattr(self, "_" + what)()
            self.outages.append((what, began, time.time()))
            self._check_log(f"cycle {number} ({what})")
            print(f"{number:4} {what:10} back after {self.outages[-1][2] - began:5.2f} s, "
                  f"{self.book.count('positive')} promised", flush=True)
        for c in self.clients:
            if c.error:
                raise demo_module.Failed(c.error)
        self.passed += 1
        self._new_standby()

    def _store(self):
        self._role("store")

    def _courier(self):
        self._role("courier")

    def _role(self, name):
        node = self.random.choice(self.nodes)
        roles = node.roles()
        node.killed.add(roles[name].pid)
        roles[name].kill()
        if not roles[name].wait(10):
            raise demo_module.Failed(f"the {name} does not end although it was killed")
        node.wait_roles(self.roles, BACK_IN)
        for p in roles.values():
            p.close()

    def _node(self):
        node = self.random.choice(self.nodes)
        roles = node.roles()
        master = demo_module.Process("master", node.process.pid)
        victims = [master, *roles.values()]
        node.killed |= {p.pid for p in victims}
        for p in victims:
            p.kill()
        node.process.wait()
        for p in victims:
            p.wait(10)
            p.close()
        node.start(BACK_IN)
        node.wait_roles(self.roles, BACK_IN)

    def _failover(self):
        stores = [self._store_of(n) for n in self.nodes]
        self.primary.kill()
        time.sleep(self.random.random())
        self.standby.promote()
        for node, old in zip(self.nodes, stores):
            until = time.monotonic() + BACK_IN
            while self._store_of(node) in (old, None) and time.monotonic() < until:
                time.sleep(0.02)
            node.wait_roles(self.roles, BACK_IN)

    def _new_standby(self):
        """Where the old primary was, so that the address still names it."""
        old, self.primary, self.standby = self.primary, self.standby, None
        old.remove()
        self.standby = self.primary.standby(safe=True, port=old.port)
        self.primary.synchronous(self.standby)

    @staticmethod
    def _store_of(node):
        roles = node.roles()
        pid = roles["store"].pid if "store" in roles else None
        for p in roles.values():
            p.close()
        return pid

    # ---- checking ----

    def _check_log(self, when):
        for node in self.nodes:
            node.follow()
            for e in node.events[getattr(node, "seen", 0):]:
                if not self._expected_of(node, e):
                    self.problems.append(f"{when}: unexpected in the log: {e.line}")
            node.seen = len(node.events)

    def _expected_of(self, node, e):
        if e.level in ("info", "debug"):
            return True
        lately = {who for who, _, _ in self.outages[-4:]}
        if e.name in ("role.ended", "role.failed", "store.fatal"):
            return node.was_killed(e.pid) or "failover" in lately
        return e.name in ("role.orphaned", "store.node_dead") or self._expected(e) or e.name == "courier.unrecorded"

    def reconcile(self, when, last=False):
        super().reconcile(when, last)
        if last:
            self._look_from_the_other(when)

    def _look_from_the_other(self, when):
        """Both machines show the same mailboxes."""
        for box in self.boxes:
            box.compare_with_imap(self.other.env, self.problems)
        self._check_log(when)

    def end(self):
        for c in self.clients:
            c.end = True
        self.drain()
        super().end()
        self.problems += self.other.stop()
        self._check_log("the end")

    def close(self):
        for node in self.nodes:
            node.kill_everything()
        for server in (self.primary, self.standby):
            if server:
                server.kill()
                server.remove()


def run(options, directory):
    """(passed, problems)."""
    loop = Loop(options, directory)
    try:
        loop.begin()
        for number in range(1, options.failover + 1):
            loop.cycle(number)
            if number % 5 == 0:
                loop.reconcile(f"after {number} failovers")
                loop.load(True)
        loop.load(False)
        loop.end()
    except (demo_module.Failed, OSError, RuntimeError, poplib.error_proto, imaplib.IMAP4.error) as e:
        loop.problems.append(f"{type(e).__name__}: {e}")
    finally:
        for c in loop.clients:
            c.end = True
        loop.close()
        loop.sink.close()
    return loop.passed, loop.problems
