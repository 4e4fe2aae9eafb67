"""What the Python clients' programs share: trying one feature after another."""

import asyncio
import os
import pathlib
import subprocess
import time
import traceback
import sys

BOOTSTRAP = os.environ["BOOTSTRAP"]
CREATES = os.environ["CREATES"]


def topic(client):
    """A name that nobody else has taken."""
    return f"{client}-{os.getpid()}-{int(time.time() * 1000)}"


def tries(feature, what):
    """Tries a feature, and prints what came of it."""
    began = time.monotonic()
    try:
        what()
        print(f"{feature}|ok", flush=True)
        print(f"{time.monotonic() - began:6.1f} s {feature}", file=sys.stderr, flush=True)
        return True
    except (Exception, asyncio.CancelledError) as error:
        traceback.print_exc(file=sys.stderr)
        print(f"{feature}|{type(error).__name__}: {str(error)[:200]}".replace("\n", " "), flush=True)
        return False


def expect(what, wanted):
    """Fails unless both are the same."""
    if what != wanted:
        raise AssertionError(f"{what!r} instead of {wanted!r}"[:300])


class Commits:
    """What was acknowledged of a group's commits, which must never go back."""

    def __init__(self):
        self.acknowledged = {}

    def took(self, offsets):
        """A commit of these offsets by partition was acknowledged."""
        self.acknowledged |= offsets

    def found(self, offsets):
        """These are committed, by partition: fails if one is older than what was acknowledged."""
        back = {key: (offsets.get(key), was) for key, was in self.acknowledged.items() if (offsets.get(key) or 0) < was}
        expect(back, {})


def kill(broker):
    """Kills a broker with kill -9, and starts it again a second later; does not wait for that."""
    node = pathlib.Path(__file__).with_name("node")
    return subprocess.Popen([node, "kill", f"broker-{broker}"])
