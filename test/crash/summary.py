"""What a whole run has shown, on one page."""
import collections
import re

# The first that matches. What is not lost, altered or there twice is still a failure: "other".
KINDS = (("lost", r"LOST|is lost|has vanished|does not open|are gone|is missing"),
         ("altered", r"altered|other bytes|cannot be read|damaged|differ"),
         ("unexplained duplicates", r"times in the mailbox|came back|sent twice|nobody sent"),
         ("other", r""))

done = collections.Counter()      # "kills": how many
problems = collections.Counter()  # kind: how many


def note(problem):
    """A problem that was found where none should be."""
    problems[next(kind for kind, pattern in KINDS if re.search(pattern, problem))] += 1


def count(what, number):
    done[what] += number


def show():
    print("\n" + ", ".join(f"{n:,} {what}" for what, n in done.items()))
    print(", ".join(f"{kind} {problems[kind]}" for kind, _ in KINDS))
