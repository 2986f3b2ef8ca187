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
mynetworks = {networks}
alias_maps =
local_recipient_maps =
maillog_file = {dir}/log
maillog_file_prefixes = /
smtp_tls_CAfile = {cafile}
smtp_host_lookup = native
smtp_tls_loglevel = 1
"""
# With a certificate it takes mail for far.test, joe above all, and relays for nobody.
RECEIVING = """smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_relay_restrictions = $smtpd_recipient_restrictions
virtual_mailbox_domains = far.test
virtual_mailbox_maps = static:joe/
virtual_mailbox_base = {dir}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_received_header = yes
smtpd_tls_security_level = may
smtp_tls_security_level = may
minimal_backoff_time = 1s
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
virtual unix - n n - - virtual
discard unix - - n - - discard
"""
WRAPPED = "{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n"


def missing():
    """Why there can be no Postfix here, or None."""
    if os.geteuid() != 0:
        return "Postfix needs root"
    if not shutil.which("postfix", path="/usr/sbin:/usr/bin"):
        return "Postfix is not installed"
    return None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Postfix:
    """Lines of `settings` are added to main.cf; {dir} and {port} may stand in them. `certificate`: (file, key) of a
    server that takes mail on `port` and, wrapped in TLS, on `tls_port`."""

    def __init__(self, port=None, cafile="", settings="", certificate=None):
        # Not below pytest's folder, which other users may not enter; Postfix has users of its own.
        self.dir, self.port = tempfile.mkdtemp(prefix="eilpost-postfix-"), port or free_port()
        self.tls_port = free_port()
        config, nobody = self.dir + "/etc", pwd.getpwnam("nobody")
        os.chmod(self.dir, 0o755)
        for name in ("/etc", "/queue", "/data", "/mail"):
            os.makedirs(self.dir + name)
        os.chown(self.dir + "/data", pwd.getpwnam("postfix").pw_uid, -1)
        os.chown(self.dir + "/mail", nobody.pw_uid, nobody.pw_gid)
        cert, key = certificate or ("", "")
        values = {"dir": self.dir, "port": f"127.0.0.1:{self.port}", "cafile": cafile, "cert": cert, "key": key,
                  "tls_port": f"127.0.0.1:{self.tls_port}", "uid": nobody.pw_uid, "gid": nobody.pw_gid,
                  "networks": "127.0.0.0/8" if not certificate or "relayhost" in settings else ""}
        main, master = MAIN + (RECEIVING if certificate else ""), MASTER + (WRAPPED if certificate else "")
        for name, text in (("main.cf", main + settings), ("master.cf", master)):
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

    def mailbox(self):
        """What has arrived for joe, as bytes."""
        folder = self.dir + "/mail/joe/new"
        found = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as f:
                found.append(f.read())
        return found

    def wait_mail(self, mark, seconds=30):
        until = time.monotonic() + seconds
        while not any(mark.encode() in m for m in self.mailbox()):
            assert time.monotonic() < until, f"the message does not arrive at Postfix\n{self.log()[-3000:]}"
            time.sleep(0.05)
        return next(m for m in self.mailbox() if mark.encode() in m)

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
