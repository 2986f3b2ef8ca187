#!/usr/bin/python3
"""A name server on loopback whose answers are written down: for tests of whoever asks.

A zone is lines of NAME TYPE DATA; instead of a type a name may have a behaviour:

    example.test       MX    10 mail.example.test
    mail.example.test  A     127.0.0.1
    mail.example.test  AAAA  ::1
    alias.test         CNAME mail.example.test
    example.test       TXT   v=spf1 -all
    null.test          MX    0 .
    broken.test        SERVFAIL
    silent.test        DROP
    slow.test          DELAY 0.5      (then as its other lines say)
    garbage.test       RAW   00ff00   (the bytes of an answer behind the id, in hex)

Names that are not there do not exist; names that have other types, or names below them, have no such
data. As a program: dnsd.py --port PORT ZONEFILE. As a module: Dns(zone_text).
"""
import argparse
import ipaddress
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52}
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
TTL = 1
CHAIN_MAX = 12
CONNECTIONS_MAX = 64


def pack_name(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode()
    return out + b"\0"


def unpack_name(data, at):
    labels = []
    while at < len(data) and data[at]:
        n = data[at]
        if n > 63:
            raise ValueError("compressed question")
        labels.append(data[at + 1:at + 1 + n].decode("ascii", "replace"))
        at += n + 1
    return ".".join(labels).lower(), at + 1


def pack_data(kind, text):
    if kind == "A" or kind == "AAAA":
        return ipaddress.ip_address(text).packed
    if kind == "MX":
        preference, host = text.split()
        return struct.pack(">H", int(preference)) + pack_name(host)
    if kind == "TXT":
        pieces = [text[i:i + 255].encode() for i in range(0, len(text), 255)]
        return b"".join(bytes([len(p)]) + p for p in pieces)
    if kind == "TLSA":
        usage, selector, matching, data = text.split()
        return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(data)
    return pack_name(text)


class Dns:
    """Serves UDP and TCP on 127.0.0.1 until stop(). `asked` lists (name, type) in order."""

    @staticmethod
    def bind(port):
        """UDP and TCP on one port; with port 0 on one that is free for both."""
        for left in range(50, -1, -1):
            udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(udp.getsockname())
                return udp, tcp
            except OSError:
                udp.close()
                tcp.close()
                if port or not left:
                    raise
        raise AssertionError("not reached")

    def __init__(self, zone="", port=0):
        self.lock = threading.Lock()
        self.records, self.behaviour = {}, {}
        self.asked = []
        self.load(zone)
        self.udp, self.tcp = self.bind(port)
        self.port = self.udp.getsockname()[1]
        self.tcp.listen(16)
        self.slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self.stopping = False
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def load(self, zone):
        """Replace all records."""
        records, behaviour = {}, {}
        for line in zone.splitlines():
            words = line.split("#")[0].split(None, 2)
            if not words:
                continue
            name, kind = words[0].lower().rstrip("."), words[1].upper()
            if kind in TYPES:
                records.setdefault(name, {}).setdefault(kind, []).append(words[2].strip())
            else:
                behaviour[name] = (kind, words[2].strip() if len(words) > 2 else "")
        with self.lock:
            self.records, self.behaviour = records, behaviour

    def count(self, name, kind=None):
        with self.lock:
            return sum(1 for n, t in self.asked if n == name and kind in (None, t))

    def stop(self):
        self.stopping = True
        self.udp.close()
        self.tcp.close()

    # ---- answering ----

    def find(self, name, kind):
        """(rcode, [(owner, type, data)])"""
        answers = []
        for _ in range(CHAIN_MAX):
            have = self.records.get(name)
            if have is None:
                below = any(n.endswith("." + name) for n in self.records)
                return (NOERROR if below or answers else NXDOMAIN), answers
            if kind in have:
                return NOERROR, answers + [(name, kind, d) for d in have[kind]]
            if "CNAME" not in have:
                return NOERROR, answers
            answers.append((name, "CNAME", have["CNAME"][0]))
            name = have["CNAME"][0].lower().rstrip(".")
        return NOERROR, answers

    def reply(self, query):
        if len(query) < 17:
            return None
        number, flags = struct.unpack(">HH", query[:4])
        name, at = unpack_name(query, 12)
        code = struct.unpack(">H", query[at:at + 2])[0]
        kind = next((k for k, v in TYPES.items() if v == code), str(code))
        with self.lock:
            self.asked.append((name, kind))
            how, arg = self.behaviour.get(name, ("", ""))
            rcode, answers = (SERVFAIL, []) if how == "SERVFAIL" else self.find(name, kind)
        if how == "DROP":
            return None
        if how == "RAW":
            return query[:2] + bytes.fromhex(arg)
        if how == "DELAY":
            time.sleep(min(float(arg), 30))
        out = b""
        for owner, k, data in answers:
            rdata = pack_data(k, data)
            out += pack_name(owner) + struct.pack(">HHIH", TYPES[k], 1, TTL, len(rdata)) + rdata
        soa, authority = b"", 0
        if not answers and rcode != SERVFAIL: # how long "no" may be remembered (RFC 2308)
            rdata = pack_name(".") * 2 + struct.pack(">5I", 1, TTL, TTL, TTL, TTL)
            soa = pack_name(".") + struct.pack(">HHIH", 6, 1, TTL, len(rdata)) + rdata
            authority = 1
        head = struct.pack(">6H", number, 0x8480 | (flags & 0x0100) | rcode, 1, len(answers),
                           authority, 0)
        return head + query[12:at + 4] + out + soa

    def safe_reply(self, query):
        try:
            return self.reply(query)
        except (ValueError, IndexError, struct.error, OSError):
            return None

    def serve_udp(self):
        while not self.stopping:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if self.slots.acquire(blocking=False):
                threading.Thread(target=self.answer_udp, args=(query, peer), daemon=True).start()

    def answer_udp(self, query, peer):
        try:
            reply = self.safe_reply(query)
            if reply and len(reply) > 1232: # truncated: ask again over TCP
                flags = struct.unpack(">H", reply[2:4])[0] | 0x0200
                _, at = unpack_name(query, 12)
                reply = reply[:2] + struct.pack(">5H", flags, 1, 0, 0, 0) + query[12:at + 4]
            if reply:
                self.udp.sendto(reply, peer)
        except OSError:
            pass
        finally:
            self.slots.release()

    def serve_tcp(self):
        while not self.stopping:
            try:
                c, _ = self.tcp.accept()
            except OSError:
                return
            if not self.slots.acquire(blocking=False):
                c.close()
                continue
            threading.Thread(target=self.answer_tcp, args=(c,), daemon=True).start()

    def answer_tcp(self, c):
        try:
            c.settimeout(10)
            f = c.makefile("rb")
            while True:
                n = f.read(2)
                if len(n) < 2:
                    return
                reply = self.safe_reply(f.read(struct.unpack(">H", n)[0]))
                if not reply:
                    return
                c.sendall(struct.pack(">H", len(reply)) + reply)
        except OSError:
            pass
        finally:
            c.close()
            self.slots.release()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--port", type=int, default=5353)
    p.add_argument("zone")
    args = p.parse_args()
    with open(args.zone, encoding="utf-8") as f:
        d = Dns(f.read(), args.port)
    print(f"serving on 127.0.0.1:{d.port}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        d.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
