"""How much an account may send to other servers: caps, frozen mail, alarms."""
import subprocess
import uuid

import pytest

from conftest import PROGRAM, parse
from raw import submit
from sink import Sink
from test_recipients import command, queue, text


def send(demo, *rcpts, who=1):
    sender = getattr(demo, f"USER{who}")
    mark = uuid.uuid4().hex
    with submit(demo, who) as s:
        assert s.message(sender, list(rcpts), text(mark, sender))[0] == 250
    return mark


def outside(name):
    return f"{name}@far.example"


@pytest.fixture
def sink():
    with Sink() as s:
        yield s


@pytest.fixture
def place(start_demo, sink):
    return start_demo("cap.new-recipients=3", "cap.messages=6", f"route.far.example=smtp://127.0.0.1:{sink.port}")


def held(demo):
    return [q for q in queue(demo) if q["state"] == "held"]


def test_new_recipients_have_a_cap_and_mail_beyond_it_is_frozen(place, sink):
    for n in range(3):
        send(place, outside(f"friend{n}"))
    mark = send(place, outside("stranger"))
    assert place.wait_log(f"submission.frozen .*login={place.USER1} why=.*3 new recipients")
    row, = held(place)
    assert row["next"] is None
    assert row["recipient"] == outside("stranger") and "over its cap of 3 new recipients a day" in row["last reply"]
    # Whom it knows, and who is here, it may still write to.
    send(place, outside("Friend1"))
    here = send(place, place.USER2)
    place.wait_message(here.encode(), 2)
    sink.wait(4)
    assert not sink.holds(mark)
    # The owner (here also the operator) is told, once.
    send(place, outside("stranger2"))
    alarm = parse(place.wait_message(b"is held back"))
    assert alarm["Auto-Submitted"] == "auto-generated" and alarm["Return-Path"] == "<>"
    assert "eilpost queue release" in alarm.get_payload()
    assert sum(b"is held back" in m for m in place.messages()) == 1
    assert "frozen" in command(place, "status", want=69)["alarm"]
    # Released, it goes, and is known from then on.
    command(place, "queue", "release", row["id"])
    sink.wait(5)
    assert sink.holds(mark)
    send(place, outside("stranger"))
    sink.wait(6)
    assert len(held(place)) == 1


def test_messages_have_a_cap_and_an_account_its_own(place, sink):
    for _ in range(6):
        send(place, outside("friend"))
    sink.wait(6)
    send(place, outside("friend"))
    assert "6 messages a day" in held(place)[0]["last reply"]
    command(place, "account", "caps", place.USER1, "8", "none")
    send(place, *[outside(f"other{n}") for n in range(20)])
    sink.wait(7)
    send(place, outside("friend"))
    send(place, outside("friend"))
    assert len(held(place)) == 2
    command(place, "account", "caps", place.USER1, "none", "none")
    send(place, outside("friend"))
    command(place, "queue", "release", place.USER1)
    sink.wait(11)
    assert held(place) == []
    assert command(place, "status")["alarm"] == ""
    row = next(a for a in command(place, "account") if a["login"] == place.USER1)
    assert row["caps"] == "none/none"


def test_the_operator_of_the_server_is_told_too(place, sink):
    send(place, *[outside(f"x{n}") for n in range(4)], who=2)
    assert len(held(place)) == 4
    for who in (1, 2):
        assert place.USER2 in parse(place.wait_message(b"is held back", who))["Subject"]


def test_the_count_survives_a_restart(place, sink):
    for n in range(3):
        send(place, outside(f"friend{n}"))
    sink.wait(3)
    place.stop()
    place.start()
    send(place, outside("friend0"))
    send(place, outside("stranger"))
    sink.wait(4)
    assert [q["recipient"] for q in held(place)] == [outside("stranger")]


def test_a_list_goes_out_in_its_owners_name(place, sink):
    command(place, "alias", "set", "list@example.test", "--owner", place.USER1, place.USER2,
            *[outside(f"member{n}") for n in range(5)])
    mark = send(place, "list@example.test")
    sink.wait(1)
    assert sink.holds(mark)
    assert sink.senders() == {place.USER1}
    # Members of a list are nobody's new recipients.
    assert held(place) == []
    with submit(place, 2) as s:
        assert s.message(place.USER2, ["list@example.test"], text(uuid.uuid4().hex, place.USER2))[0] == 250
    sink.wait(2)
    assert sink.senders() == {place.USER1}
    got = parse(place.wait_message(mark.encode(), 2))
    assert got["Return-Path"] == f"<{place.USER1}>" and got.get_all("Delivered-To") == [place.USER2, "list@example.test"]
    assert {"alias": "list@example.test", "owner": place.USER1} .items() <= command(place, "alias")[0].items()


def test_the_whole_queue_is_changed_a_part_at_a_time(start_demo, sink):
    """More recipients than one request to the store changes."""
    demo = start_demo("cap.new-recipients=1", f"route.far.example=smtp://127.0.0.1:{sink.port}")
    for n in range(7):
        send(demo, *[outside(f"x{n}-{m}") for m in range(90)])
    assert len(held(demo)) == 630
    assert demo_says(demo, "queue", "drop", demo.USER1) == "630 changed\n"
    assert queue(demo) == []


def demo_says(demo, *args):
    done = subprocess.run([PROGRAM, "--config", f"{demo.dir}/eilpost.conf", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
