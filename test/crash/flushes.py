"""Every place where the store asks for a flush, and whether the proof notices when it does not.

A recording says for each flush from where it was asked for. A place in the store's own code is a line that
calls io_flush() or io_flush_dir(); a place in SQLite, which has no names here, is the kind of the file and
where in the library the call came from. (SQLite flushes the folder of its files when it makes one, which it promises
to nobody: where a place of the store is taken away, those are as well.) To take a place away its flushes are left out of the recording,
which is what a program without the call would have done to the disk; power cuts behind them must then
find something lost. Every call in src/store has to occur in the recording.
"""
import bisect
import collections
import glob
import os
import random as random_module
import re
import subprocess

import images
import model

# Files whose calls are not looked at: what they do by hand, in a store that nobody serves from, can be done
# once more after a power cut.
OFFLINE = re.compile(r"(fsck|backup|restore)")
# Places that need not be noticed, and why.
NEEDLESS = (
    (r"snapshot.c:\d+ snapshot_copy", "a store that is open has made the folder before and flushed it; this is for "
     "one that is not"),
    (r"snapshot.c:\d+ drop_old", "the oldest snapshot comes back; it is dropped again at the next, and only then is "
     "it missed that its segments have gone"),
    (r"sqlite (trace|search)", "what happened to a message, and full text, are made anew from the log"),
    (r"sqlite directory", "a write-ahead log that has vanished leaves the index of the last checkpoint, and "
     "the log is replayed from there"),
)


def calls(top):
    """{(file, line)} of every call in the source of the store."""
    found = set()
    for path in glob.glob(os.path.join(top, "src/store/*.c")):
        name = os.path.basename(path)
        if name == "io.c" or name.endswith("_test.c") or OFFLINE.match(name):
            continue
        with open(path) as f:
            for number, line in enumerate(f, 1):
                found |= {(name, number) for _ in re.findall(r"\bio_flush(?:_dir)?\(", line)}
    return found


def symbols(program, offsets):
    """{offset: [(function, file, line), ...]}, inlined ones first."""
    offsets = sorted(offsets)
    text = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", program], check=True, text=True,
                          input="".join(f"{o - 1:x}\n" for o in offsets), capture_output=True).stdout
    found, frames = {}, None
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("0x"):
            frames = found[int(line, 16) + 1] = []
            continue
        path, _, number = next(lines).partition(":")
        frames.append((line, os.path.basename(path), int(re.match(r"\d*", number)[0] or 0)))
    return found


def names(entries):
    """{inode: the last part of its latest name}"""
    known = collections.defaultdict(lambda: ".")
    for e in entries:
        if e.kind in (model.CREATE, model.MKDIR, model.LINK):
            known[e.inode] = e.data.decode()
        elif e.kind == model.RENAME:
            known[e.inode] = e.data.decode().split("\0")[1]
    return known


class Sites:
    def __init__(self, entries, program, top):
        self.program, self.calls, self.entries = os.path.basename(program), calls(top), entries
        frames = {}
        for e in entries:
            if e.kind == model.FLUSH_BEGIN:
                frames[e.a] = [f.rsplit("+", 1) for f in e.data.decode().split()]
        self.symbols = symbols(program, {int(o, 16) for f in frames.values() for m, o in f
                                         if m == self.program})
        known = names(entries)
        directories = {e.inode for e in entries if e.kind == model.MKDIR} | {
            e.inode for e in entries if e.kind == model.FLUSH_BEGIN and known[e.inode] == "."}
        self.of = {}  # number of a flush: its place
        for e in entries:
            if e.kind == model.FLUSH_BEGIN:
                kind = "directory" if e.inode in directories else known[e.inode]
                self.of[e.a] = self._place(frames[e.a], kind)
        self.ends = collections.defaultdict(list)  # place: entry numbers where its flushes end
        self.inodes = {}
        for n, e in enumerate(entries):
            if e.kind == model.FLUSH_END:
                self.inodes[n] = e.inode
                self.ends[self.of[e.a]].append(n)

    def _place(self, frames, kind):
        own = [s for m, o in frames if m == self.program for s in self.symbols[int(o, 16)]]
        inside = [o for m, o in frames if m.startswith("libsqlite3")]
        if inside:
            return f"sqlite {kind} {'/'.join(inside[:2])}"
        while own and own[0][1] == "io.c":
            own.pop(0)
        function, name, line = own[0] if own else ("?", "?", 0)
        near = [c for c in self.calls if c[0] == name and abs(c[1] - line) <= 2]
        line = min(near, key=lambda c: abs(c[1] - line))[1] if near else line
        return f"{name}:{line} {function}"

    def unseen(self):
        """Calls in the source that the recording does not have."""
        seen = {tuple(place.split(" ")[0].split(":")) for place in self.ends}
        return sorted(f"{name}:{line}" for name, line in self.calls if (name, str(line)) not in seen)


def covered_at(entries, inode, after):
    """Where the next flush of the same file ends, from which on nothing can be missing any more."""
    return next((n for n in range(after, len(entries)) if entries[n].kind == model.FLUSH_END and
                 entries[n].inode == inode), len(entries))


def cases(replay, inodes, ends, random, count, first):
    """Power cuts behind flushes that were left out; `first`: how the first three are."""
    answers = replay.promises.answers()
    made = []
    few = max(8, count // 6)
    for end in random.sample(ends, min(len(ends), few)) + random.choices(ends, k=few):
        answer = bisect.bisect_left(answers, end)
        then = answers[answer:answer + 3] or [len(replay.entries) - 1]
        last = covered_at(replay.entries, inodes[end], end)
        after = [last, then[0] + 1, then[-1] + 1, end + 1 + random.randrange(6),
                 end + 1 + random.randrange(40), end + 1 + random.randrange(400),
                 random.randrange(end + 1, last + 1)]
        for cut, how in zip(after, first * 3 + ("random",) * 4):
            made.append(images.Case(len(made), min(cut, len(replay.entries)), how,
                                    random.randrange(1 << 32)))
    return sorted(made[:count], key=lambda c: c.cut)


def needless(place):
    return next((why for pattern, why in NEEDLESS if re.match(pattern, place)), None)


def key(place):
    return place if place.startswith("sqlite") else place.split(" ")[0]


def control(replay, program, top, seed, count, most=None, only=None):
    """Take away one place after the other; (how many were noticed, the places that were not). `most`: only
    so many places, those in the store's own code first. `only`: those that a recording before this one did not
    show: what is written between two flushes is not always somebody's mail."""
    sites = Sites(replay.entries, program, top)
    random = random_module.Random(seed)
    places = sorted(sites.ends, key=lambda p: (p.startswith("sqlite"), -len(sites.ends[p])))
    if only is not None:
        places = [p for p in places if key(p) in only]
    good, missed = 0, sorted(set(sites.unseen() if only is None else only) - set(map(key, places)))
    for where in missed:
        print(f"     {where}: a flush that does not occur in the recording")
    entries = replay.entries
    for place in places[:most]:
        ends = sites.ends[place]
        replay.entries = entries
        replay.without(lambda number, p=place: sites.of[number] == p or
                       (not p.startswith("sqlite") and sites.of[number].startswith("sqlite directory")))
        many = 12 if needless(place) else count * 6 if place.startswith("sqlite") else count
        how = ("random",) if place.startswith("sqlite") else ("none",)
        found = replay.run(cases(replay, sites.inodes, ends, random, many, how), 1)
        said = [p for problems in found.values() for p in problems]
        why = needless(place)
        if said:
            print(f"     without {place} ({len(ends)} times): {said[0][:110]}", flush=True)
            good += 1
        elif why:
            print(f"     without {place} ({len(ends)} times): nothing lost, as {why}", flush=True)
        else:
            print(f"     without {place} ({len(ends)} times): not noticed in {len(found)} images",
                  flush=True)
            missed.append(key(place))
    replay.entries = entries
    return good, missed
