"""A server that takes every message and remembers it."""
import socket
import threading
import time


class Sink:
    def __init__(self):
        self.taken = []  # (sender, [recipients], message)
        self.hold = None  # a threading.Event: who connects now is greeted when it is set
        self.connections = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        sender, rcpts = "", []
        self.connections += 1
        if hold := self.hold:
            hold.wait()
        with s, s.makefile("rwb") as f:
            def say(text):
                f.write(text.encode() + b"\r\n")
                f.flush()
            say("220 sink")
            for line in f:
                word = line[:4].upper()
                if word == b"MAIL":
                    sender, rcpts = line.split(b"<", 1)[1].split(b">")[0].decode(), []
                if word == b"RCPT":
                    rcpts.append(line.split(b"<", 1)[1].split(b">")[0].decode())
                if word == b"DATA":
                    say("354 go on")
                    message = b""
                    while (more := f.readline()) != b".\r\n":
                        message += more
                    with self.lock:
                        self.taken.append((sender, rcpts, message))
                say("221 bye" if word == b"QUIT" else "250 ok")
                if word == b"QUIT":
                    return

    def wait(self, count, seconds=20):
        """Until so many messages have come."""
        until = time.monotonic() + seconds
        while len(self.taken) < count:
            assert time.monotonic() < until, f"{len(self.taken)} of {count} messages came"
            time.sleep(0.02)
        assert len(self.taken) == count

    def holds(self, mark):
        return any(mark.encode() in m for _, _, m in self.taken)

    def senders(self):
        return {s for s, _, _ in self.taken}
