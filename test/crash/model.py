"""What a disk may hold after the power has gone: files and directories with what is durable, and
what has been done to them since without a flush.

A Disk takes the entries of a recording (record.h) one after the other; image() then writes out one
of the directories that could be found if the power went at that moment:

  * Everything that a completed flush covers is there. A flush of a file covers its bytes and its
    size, not its name; a flush of a directory covers the names in it.
  * Of the bytes written since, any sectors of 512 bytes may have arrived, each in one of the states it
    had since the last flush; the size is one of those the file had.
  * Of the changes to the names in a directory, the first n have happened, n from none to all, each
    directory by itself. A rename within a directory is all or nothing; one to another directory may leave
    the old name there, but never takes the file from both.

That is weaker than what ext4, XFS or Btrfs promise, and what is right here is right there.
"""
import os
import struct

SECTOR = 512
HEAD = struct.Struct("<IIQQQQ")
MAGIC = 0x31434552
(WRITE, ZEROS, TRUNCATE, CREATE, MKDIR, LINK, UNLINK, RENAME, FLUSH_BEGIN, FLUSH_END, MARK,
 ODD) = range(1, 13)


class Entry:
    """One entry of a recording."""
    __slots__ = ("kind", "inode", "a", "b", "data")

    def __init__(self, kind, inode, a, b, data):
        self.kind, self.inode, self.a, self.b, self.data = kind, inode, a, b, data


def read_recording(path):
    """All entries. What is cut off at the end, because the recorded process was killed, is removed."""
    with open(path, "rb") as f:
        bytes_ = f.read()
    entries, at = [], 0
    start = 0
    while at + HEAD.size <= len(bytes_):
        magic, kind, inode, a, b, length = HEAD.unpack_from(bytes_, at)
        if magic != MAGIC:
            raise ValueError(f"{path}: not a recording at byte {at}")
        at += HEAD.size
        if at + length > len(bytes_):
            break
        entries.append(Entry(kind, inode, a, b, bytes_[at:at + length]))
        at += length
        start = at
    if start < len(bytes_):
        os.truncate(path, start)
    return entries


def append(fd, kind, inode=0, a=0, b=0, data=b""):
    """Append an entry; fd is the recording, opened with O_APPEND."""
    os.write(fd, HEAD.pack(MAGIC, kind, inode, a, b, len(data)) + data)


def mark(fd, text):
    append(fd, MARK, data=text.encode())


def catch_up(recording, disk, root):
    """After a kill: what has happened below root but was not written down any more, as unflushed
    changes at the end of the recording. disk: where the recording began."""
    for e in read_recording(recording):
        disk.take(e)
    fd = os.open(recording, os.O_WRONLY | os.O_APPEND)
    try:
        _catch_up(fd, disk, disk.root, root)
    finally:
        os.close(fd)


def _catch_up(fd, disk, directory, path):
    here = os.stat(path).st_ino
    names = dict(directory.durable)
    for change in directory.pending:
        change.apply_in(directory, names)
    there = {e.name: e for e in os.scandir(path) if not e.name.endswith("-shm")}
    for name, e in there.items():
        node = disk.nodes.get(e.inode())
        if e.is_dir(follow_symlinks=False):
            if not isinstance(node, Directory):
                append(fd, MKDIR, e.inode(), here, 0, name.encode())
                node = disk.nodes[e.inode()] = Directory()
            _catch_up(fd, disk, node, e.path)
        elif e.is_file(follow_symlinks=False):
            if names.get(name) is not node or node is None:
                kind = CREATE if node is None else LINK
                append(fd, kind, e.inode(), here, 0, name.encode())
            with open(e.path, "rb") as f:
                have = f.read()
            want = node.content(None, "all") if node else b""
            if len(have) < len(want):
                append(fd, TRUNCATE, e.inode(), len(have))
            if have[:len(want)] != want[:len(have)] or len(have) > len(want):
                append(fd, WRITE, e.inode(), 0, 0, have)
    for name in names.keys() - there.keys():
        append(fd, UNLINK, 0, here, 0, name.encode())


class File:
    def __init__(self, content=b""):
        self.durable = bytearray(content)
        self.pending = []  # (entry number, kind, offset or size, bytes)

    @staticmethod
    def _do(content, kind, at, data):
        if kind == TRUNCATE:
            del content[at:]
            content.extend(bytes(at - len(content)))
        else:
            if len(content) < at:
                content.extend(bytes(at - len(content)))
            content[at:at + len(data)] = data

    def flush(self, before):
        keep = [p for p in self.pending if p[0] >= before]
        for number, kind, at, data in self.pending:
            if number < before:
                self._do(self.durable, kind, at, data)
        self.pending = keep

    def content(self, random, how):
        """Bytes after the power cut. how: none, all, first (the first n changes, the next one torn),
        any (every sector by itself)."""
        if how == "none" or not self.pending:
            return self.durable
        content = bytearray(self.durable)
        n = len(self.pending)
        if how == "first":
            n = random.randrange(len(self.pending) + 1)
        whole = self.pending[:n] if how in ("all", "first") else []
        for _, kind, at, data in whole:
            self._do(content, kind, at, data)
        if how in ("first", "any"):
            self._scatter(content, self.pending[n:n + 1] if how == "first" else self.pending, random)
        return content

    def _scatter(self, content, changes, random):
        size, sizes = len(content), [len(content)]
        share = random.choice((0.02, 0.2, 0.5, 0.8, 0.98))
        stopped = set()  # sectors that stay as they are from here on
        for _, kind, at, data in changes:
            if kind == TRUNCATE:
                size, data = at, bytes(max(0, len(content) - at))
            else:
                size = max(size, at + len(data))
            sizes.append(size)
            if len(content) < at + len(data):
                content.extend(bytes(at + len(data) - len(content)))
            for sector in range(at // SECTOR, (at + len(data) + SECTOR - 1) // SECTOR):
                if sector in stopped:
                    continue
                if random.random() >= share:
                    stopped.add(sector)
                    continue
                low, high = max(at, sector * SECTOR), min(at + len(data), (sector + 1) * SECTOR)
                content[low:high] = data[low - at:high - at]
        size = random.choice(sizes) if random.random() < 0.3 else size
        del content[size:]
        content.extend(bytes(size - len(content)))


class Change:
    """One change to names. A rename stands in the lists of both its directories."""

    def __init__(self, number, adds=None, drops=None):
        self.number = number
        self.adds = adds    # (directory, name, node) or None
        self.drops = drops  # (directory, name) or None

    def apply_in(self, directory, names):
        if self.drops and self.drops[0] is directory:
            names.pop(self.drops[1], None)
        if self.adds and self.adds[0] is directory:
            names[self.adds[1]] = self.adds[2]


class Directory:
    def __init__(self):
        self.durable = {}
        self.pending = []

    def flush(self, before):
        for i, change in enumerate(self.pending):
            if change.number >= before:
                self.pending = self.pending[i:]
                return
            # A file never loses its old name without having the new one.
            if change.drops and change.drops[0] is self and change.adds and \
                    change.adds[0] is not self and change in change.adds[0].pending:
                change.adds[0].flush(change.number + 1)
            change.apply_in(self, self.durable)
        self.pending = []


class Disk:
    def __init__(self, root):
        """What is below `root` is durable."""
        self.root = Directory()
        self.nodes = {os.stat(root).st_ino: self.root}
        self.directories = [self.root]
        self.begun = {}   # number of a flush: entry number
        self.odd = []
        self.count = 0
        self._load(root, self.root)

    def _load(self, path, directory):
        for e in os.scandir(path):
            if e.name.endswith("-shm"):
                continue
            if e.is_dir(follow_symlinks=False):
                node = self._new_directory()
                self._load(e.path, node)
            elif e.is_file(follow_symlinks=False):
                with open(e.path, "rb") as f:
                    node = File(f.read())
            else:
                continue  # a socket
            self.nodes[e.inode()] = node
            directory.durable[e.name] = node

    def _new_directory(self):
        node = Directory()
        self.directories.append(node)
        return node

    @staticmethod
    def _now(directory, name):
        """Who has that name at the moment."""
        names = dict(directory.durable)
        for change in directory.pending:
            change.apply_in(directory, names)
        return names.get(name)

    def take(self, e):
        """The next entry of the recording has happened."""
        self.count += 1
        node = self.nodes.get(e.inode)
        if e.kind in (WRITE, ZEROS, TRUNCATE):
            if isinstance(node, File):
                data = bytes(e.b) if e.kind == ZEROS else e.data
                node.pending.append((self.count, e.kind, e.a, data))
        elif e.kind == FLUSH_BEGIN:
            self.begun[e.a] = self.count
        elif e.kind == FLUSH_END:
            before = self.begun.pop(e.a, 0)
            if node is not None and e.b == 0:
                node.flush(before)
        elif e.kind == ODD:
            self.odd.append(e.data.decode("ascii", "replace"))
        elif e.kind != MARK:
            self._take_name(e)

    def _take_name(self, e):
        directory = self.nodes.get(e.a)
        name = e.data.decode("utf-8", "surrogateescape")
        if not isinstance(directory, Directory):
            self.odd.append(f"a change in an unknown directory: {name!r}")
            return
        if e.kind == RENAME:
            target = self.nodes.get(e.b)
            old, new = name.split("\0")
            node = self._now(directory, old)
            if not isinstance(target, Directory) or node is None:
                self.odd.append(f"an unknown file was renamed: {old!r}")
                return
            change = Change(self.count, (target, new, node), (directory, old))
            target.pending.append(change)
            if target is not directory:
                directory.pending.append(change)
            return
        if e.kind == UNLINK:
            change = Change(self.count, None, (directory, name))
        else:
            if e.kind != LINK:
                self.nodes[e.inode] = self._new_directory() if e.kind == MKDIR else File()
            change = Change(self.count, (directory, name, self.nodes[e.inode]), None)
        directory.pending.append(change)

    def _names(self, random, how):
        """How many pending changes of each directory have happened."""
        reach = {}
        for d in self.directories:
            n = len(d.pending)
            reach[d] = 0 if how == "none" else n if how == "all" else \
                random.choice((n, random.randrange(n + 1)))
        again = True
        while again:  # never away from the old place without being at the new one
            again = False
            for d in self.directories:
                for i, c in enumerate(d.pending[:reach[d]]):
                    if not (c.drops and c.drops[0] is d and c.adds and c.adds[0] is not d):
                        continue
                    target = c.adds[0]
                    if c in target.pending[reach[target]:]:
                        reach[d], again = i, True
                        break
        return reach

    def image(self, path, random, how):
        """Write one possible state to `path`, which must not exist. how: none, all or random."""
        reach = self._names(random, how)
        styles = {"none": ("none",), "all": ("all",)}.get(
            how, ("none", "all", "first", "first", "any", "any", "any"))
        self._write(path, self.root, reach, random, styles)

    def _write(self, path, directory, reach, random, styles):
        os.mkdir(path, 0o700)
        names = dict(directory.durable)
        for change in directory.pending[:reach[directory]]:
            change.apply_in(directory, names)
        for name in sorted(names):
            node = names[name]
            where = os.path.join(path, name)
            if isinstance(node, Directory):
                self._write(where, node, reach, random, styles)
                continue
            with open(where, "wb") as f:
                f.write(node.content(random, random.choice(styles)))
