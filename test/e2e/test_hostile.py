"""The cases of test/hostile, each against the running program; at the end the books must balance."""
import os
import sys

import pytest

from conftest import Demo, ROOT

sys.path.insert(0, os.path.join(ROOT, "test", "hostile"))
import case  # noqa: E402
import order  # noqa: E402
import params  # noqa: E402
import relay  # noqa: E402
import smuggling  # noqa: E402
import starttls  # noqa: E402

CASES = [c for group in (smuggling, starttls, relay, order, params) for c in group.CASES]


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    d = Demo(tmp_path_factory.mktemp("hostile") / "d")
    d.ledger = case.Ledger()
    yield d
    d.begin_test()
    d.stop()
    assert not d.surprises(), "while ending:\n" + "\n".join(d.surprises())


@pytest.fixture
def demo(target):
    """The one instance that all cases attack."""
    if target.process.poll() is not None:
        pytest.fail("the demo is dead since an earlier case")
    target.begin_test()
    yield target
    target.end_test()


@pytest.mark.parametrize("one", CASES, ids=[c.name for c in CASES])
def test_case(demo, one):
    try:
        case.play(one, demo, demo.ledger)
    except case.Failed as e:
        failure = str(e)
    else:
        return
    pytest.fail(failure, pytrace=False)


def test_T001_the_mailboxes_hold_what_was_accepted_and_nothing_else(demo):
    wrong = [w for who in (1, 2) for w in demo.ledger.compare(who, demo.messages(who))]
    assert not wrong, "\n".join(wrong[:20])
