"""Debian's Postfix as a peer: an instance of its own under a temporary folder, on a high port."""
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

MAIN = """compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
maillog_file = {dir}/log
maillog_file_prefixes = /
smtp_tls_CAfile = {cafile}
smtp_host_lookup = native
smtp_tls_loglevel = 1
"""
MASTER = """{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def missing():
    """Why there can be no Postfix here, or None."""
    if os.geteuid() != 0:
        return "Postfix needs root"
    if not shutil.which("postfix", path="/usr/sbin:/usr/bin"):
        return "Postfix is not installed"
    return None


class Postfix:
    """Lines of `settings` are added to main.cf; {dir} and {port} may stand in them."""

    def __init__(self, port, cafile="", settings=""):
        # Not below pytest's folder, which other users may not enter; Postfix has users of its own.
        self.dir, self.port = tempfile.mkdtemp(prefix="eilpost-postfix-"), port
        config = self.dir + "/etc"
        os.chmod(self.dir, 0o755)
        for name in ("/etc", "/queue", "/data"):
            os.makedirs(self.dir + name)
        os.chown(self.dir + "/data", pwd.getpwnam("postfix").pw_uid, -1)
        values = {"dir": self.dir, "port": f"127.0.0.1:{port}", "cafile": cafile}
        for name, text in (("main.cf", MAIN + settings), ("master.cf", MASTER)):
            with open(f"{config}/{name}", "w") as f:
                f.write(text.format(**values))
        self.out = open(self.dir + "/out", "w")
        subprocess.run(["postfix", "-c", config, "check"], stdout=self.out, stderr=self.out, check=True)
        self.process = subprocess.Popen(["postfix", "-c", config, "start-fg"], stdout=self.out,
                                        stderr=self.out, stdin=subprocess.DEVNULL, start_new_session=True)
        self.wait_port()

    def log(self):
        try:
            with open(self.dir + "/log", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_port(self, seconds=20):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                    if s.recv(3) == b"220":
                        return
            except OSError:
                pass
            time.sleep(0.05)
        log = self.log()
        self.stop()
        raise AssertionError("Postfix does not start:\n" + log)

    def wait_log(self, text, seconds=20):
        until = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < until, f"not in Postfix's log: {text}\n{self.log()[-3000:]}"
            time.sleep(0.05)

    def stop(self):
        """End the master itself: what was started is a script that would leave it behind."""
        with contextlib.suppress(OSError, ValueError):
            with open(self.dir + "/queue/pid/master.pid") as f:
                os.kill(int(f.read()), signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.out.close()
        shutil.rmtree(self.dir, ignore_errors=True)
