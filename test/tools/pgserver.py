"""PostgreSQL servers for tests, from Debian's package: each in a folder of its own, on loopback and
on a Unix socket. PostgreSQL refuses to run as root, so root starts it as the user postgres.

    server = Server()                    initdb, start; remove() at the end
    url = server.fresh()                 a new empty database
    standby = server.standby()           a copy that follows, over loopback
    server.synchronous(True)             commits wait for it from now on
    standby.promote()
"""
import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 60
USER = "eilpost"


def binaries():
    """The folder of the newest version that is installed, or None."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    return os.path.dirname(max(found, key=lambda p: int(p.split("/")[4]))) if found else None


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _as_postgres():
    """For preexec_fn: not root, and no server outlives the test."""
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    libc = ctypes.CDLL(None)

    def become():
        if user:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        libc.prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG

    return become


class Server:
    """safe: every commit is flushed, as it must be where something is killed. `copy_of`: standby()."""

    def __init__(self, safe=False, copy_of=None, port=None):
        # Not below a folder of the test: the user postgres might not get there.
        self.folder = tempfile.mkdtemp(prefix="eilpost-pg-", dir="/tmp")
        self.bin = binaries()
        self.port = port or free_port()
        self.databases = 0
        self.process = None
        self.frozen = []
        self.settings = ["listen_addresses=127.0.0.1", f"port={self.port}",
                         f"unix_socket_directories={self.folder}", "max_connections=200",
                         "shared_buffers=64MB", "wal_level=replica", "max_wal_senders=8",
                         "hot_standby=on", "log_checkpoints=off",
                         f"fsync={'on' if safe else 'off'}"]
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        if copy_of:
            self._run("pg_basebackup", "-D", "data", "-h", "127.0.0.1", "-p", str(copy_of.port),
                      "-U", USER, "-R", "-X", "stream", "-c", "fast", "--no-sync",
                      "-d", f"application_name=standby{self.port}")
        else:
            self._run("initdb", "-D", "data", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C",
                      "--no-instructions", "--no-sync")
        self.start()

    def _popen(self, name, *args):
        with open(self.folder + "/log", "ab") as log:
            return subprocess.Popen([f"{self.bin}/{name}", *args], cwd=self.folder, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, preexec_fn=_as_postgres(),
                                    env={**os.environ, "LC_ALL": "C", "HOME": self.folder})

    def _run(self, name, *args):
        if self._popen(name, *args).wait() != 0:
            raise RuntimeError(f"{name} failed:\n{self.log()}")

    def log(self):
        with open(self.folder + "/log", errors="replace") as f:
            return f.read()[-4000:]

    def start(self):
        settings = [a for s in self.settings for a in ("-c", s)]
        self.process = self._popen("postgres", "-D", "data", *settings)
        until = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log()}")
            time.sleep(0.05)

    def answers(self):
        return subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                              check=False).returncode == 0

    def sql(self, text, database="postgres"):
        """Run statements; what the last one gives, as text."""
        r = subprocess.run([f"{self.bin}/psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder,
                            "-p", str(self.port), "-U", USER, "-d", database, "-c", text],
                           capture_output=True, text=True, check=False)
        if r.returncode:
            raise RuntimeError(f"{text}: {r.stderr}")
        return r.stdout.strip()

    def fresh(self, where=""):
        """The URL of a new empty database. where: an empty folder to keep it in."""
        self.databases += 1
        name = f"mail{self.databases}"
        if where:
            shutil.chown(where, *[pwd.getpwnam("postgres").pw_uid] * 2 if os.geteuid() == 0 else [None, None])
            self.sql(f"CREATE TABLESPACE {name} LOCATION '{where}'")
        self.sql(f"CREATE DATABASE {name}" + (f" TABLESPACE {name}" if where else ""))
        return self.url(name)

    def url(self, name, *others):
        """Of a database here, or on one of the others too (a standby)."""
        hosts = ",".join(f"127.0.0.1:{s.port}" for s in (self, *others))
        return f"postgres://{USER}@{hosts}/{name}"

    def require_password(self, word):
        """Over TCP from now on; the Unix socket stays open for sql()."""
        self.sql(f"ALTER ROLE {USER} PASSWORD '{word}'")
        with open(self.folder + "/data/pg_hba.conf", "w") as f:
            f.write("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.sql("SELECT pg_reload_conf()")

    def require_tls(self, certificate, key):
        """Over TCP from now on; files in the form of PEM."""
        for name, text in (("server.crt", certificate), ("server.key", key)):
            path = f"{self.folder}/data/{name}"
            with open(path, "w") as f:
                f.write(text)
            os.chmod(path, 0o600)
            if os.geteuid() == 0:
                shutil.chown(path, "postgres")
        with open(self.folder + "/data/pg_hba.conf", "w") as f:
            f.write("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
        self.sql("ALTER SYSTEM SET ssl = on")
        self.sql("SELECT pg_reload_conf()")

    def freeze(self):
        """It stops without a word: no connection is closed, and new ones get no answer."""
        self.frozen = [self.process.pid]
        os.kill(self.process.pid, signal.SIGSTOP)
        for pid in self.children():
            os.kill(pid, signal.SIGSTOP)
            self.frozen.append(pid)

    def thaw(self):
        for pid in reversed(self.frozen):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.frozen = []

    def standby(self, safe=False, port=None):
        return Server(safe, copy_of=self, port=port)

    def synchronous(self, standby):
        """Commits wait for this standby from now on (None: for nobody). Returns when it follows."""
        names = f"standby{standby.port}" if standby else ""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.sql("SELECT pg_reload_conf()")
        until = time.monotonic() + START_SECONDS
        while standby and self.sql("SELECT count(*) FROM pg_stat_replication"
                                   " WHERE sync_state = 'sync'") != "1":
            if time.monotonic() > until:
                raise RuntimeError("the standby does not follow")
            time.sleep(0.05)

    def promote(self):
        self.sql("ALTER SYSTEM RESET synchronous_standby_names")
        self.sql("SELECT pg_reload_conf()")
        self.sql("SELECT pg_promote(true, 60)")

    def kill(self):
        """SIGKILL to every process of the server at once."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGSTOP)  # it must not start anything meanwhile
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def children(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return [int(p) for p in f.read().split()]

    def stop(self, how=signal.SIGINT):
        """SIGINT: connections are ended and everything is written."""
        if self.process is None or self.process.poll() is not None:
            return
        self.thaw()
        self.process.send_signal(how)
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
