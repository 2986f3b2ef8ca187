"""Exim and OpenSMTPD as peers: each in a mount namespace of its own, on a high port.

Debian's packages of the three mail servers exclude one another. `./dev test` installs Postfix and
unpacks the other two below build-peers/; there they are laid over /usr, with users and a configuration
laid over /etc, where only their own processes see it. That needs root.
"""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNPACKED = os.path.join(ROOT, "build-peers")
# $1: the unpacked packages, $2: what goes over /etc; then the command. Nothing of this is seen outside.
ENTER = """set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir="$1/usr:/usr" /usr
mount -t overlay overlay -o lowerdir="$2:/etc" /etc
for d in /var/spool /var/lib /run; do mount -t tmpfs tmpfs $d; done
mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty
chmod 711 /var/spool/smtpd
shift 2
exec "$@"
"""
USERS = (("opensmtpd", 64001), ("opensmtpq", 64002), ("Debian-exim", 64003))

EXIM = """spool_directory = {dir}/spool
log_file_path = {dir}/log/%s
primary_hostname = exim.test
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
disable_ipv6
keep_environment =
tls_advertise_hosts =
acl_smtp_rcpt = all
acl_smtp_data = all
begin acl
all:
  accept
begin routers
here:
  driver = redirect
  domains = exim.test
  data = {user}
away:
  driver = manualroute
  route_list = * {host}
  self = send
  transport = smtp
begin transports
smtp:
  driver = smtp
  port = {to}
  hosts_require_tls = *
  tls_verify_certificates = /etc/ssl/certs/ca-certificates.crt
  tls_verify_cert_hostnames = *
  hosts_require_auth = {auth}
begin retry
* * F,1h,1s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{login}^{password}
"""
OPENSMTPD = """table box {{ "box@opensmtpd.test" = "{user}" }}
table secrets {{ "us" = "{login}:{password}" }}
listen on 127.0.0.1 port {port} hostname opensmtpd.test
action here forward-only virtual <box>
action away relay host "{url}" tls helo opensmtpd.test {auth}
match from any for domain "opensmtpd.test" action here
match from any for any action away
"""


def missing(program):
    """Why there can be no such peer here, or None."""
    if os.geteuid() != 0:
        return f"{program} needs root"
    if not os.path.exists(f"{UNPACKED}/usr/sbin/{program}"):
        return f"{program} is not unpacked"
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        return "no mount namespaces here"
    return None


class Peer:
    """A mail server that takes mail for anybody. What is for its own domain it sends on to `user` (USER2
    of the demo), all else as it stands, and always to the demo over TLS: to port 25, or with `login` to
    the submission port."""

    def __init__(self, demo, port, login=None):
        self.dir, self.port = tempfile.mkdtemp(prefix="eilpost-peer-"), port
        os.chmod(self.dir, 0o755)
        self.write_etc(demo.CAFILE)
        values = {"dir": self.dir, "port": port, "user": demo.USER2, "host": demo.TLS_NAME, "to": demo.SUBMISSION_PORT if login else demo.SMTP_PORT,
                  "login": login or "nobody", "password": demo.PASS1 if login else "none"}
        command = self.configure(values, login)
        self.out = open(self.dir + "/out", "w")
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", ENTER, "enter", UNPACKED, self.dir + "/etc", *command],
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out, start_new_session=True)
        self.wait_port()

    def write_etc(self, cafile):
        os.makedirs(self.dir + "/etc/ssl/certs")
        shutil.copyfile(cafile, f"{self.dir}/etc/ssl/certs/ca-certificates.crt")
        for name, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/bin/false\n"), ("group", "{0}:x:{1}:\n")):
            shutil.copy(f"/etc/{name}", f"{self.dir}/etc/{name}")
            with open(f"{self.dir}/etc/{name}", "a") as f:
                f.writelines(line.format(*u) for u in USERS)

    def log(self):
        text = ""
        for name in ("out", "log/main", "log/panic"):
            if os.path.exists(f"{self.dir}/{name}"):
                with open(f"{self.dir}/{name}", errors="replace") as f:
                    text += f.read()
        return text

    def wait_port(self, seconds=20):
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                    if s.recv(3) == b"220":
                        return
            except OSError:
                pass
            time.sleep(0.05)
        log = self.log()
        self.stop()
        raise AssertionError(f"{type(self).__name__} does not start:\n{log}")

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.out.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Exim(Peer):
    domain = "exim.test"

    def configure(self, values, login):
        for folder in ("etc/exim4", "spool", "log"):
            os.mkdir(f"{self.dir}/{folder}")
        for folder in ("spool", "log"):
            os.chown(f"{self.dir}/{folder}", USERS[2][1], USERS[2][1])
        with open(self.dir + "/etc/exim4/exim4.conf", "w") as f:
            f.write(EXIM.format(auth="*" if login else "", **values))
        return "exim4", "-bdf", "-q1m"


class OpenSmtpd(Peer):
    domain = "opensmtpd.test"

    def configure(self, values, login):
        url = "smtp+tls://{}{host}:{to}".format("us@" if login else "", **values)
        path = self.dir + "/smtpd.conf"
        with open(path, "w") as f:
            f.write(OPENSMTPD.format(url=url, auth="auth <secrets>" if login else "", **values))
        os.chmod(path, 0o600)
        return "smtpd", "-d", "-v", "-f", path
