"""What the Python clients' programs share: trying one feature after another."""

import os
import time
import traceback
import sys

BOOTSTRAP = os.environ["BOOTSTRAP"]


def topic(client):
    """A name that nobody else has taken."""
    return f"{client}-{os.getpid()}-{int(time.time() * 1000)}"


def tries(feature, what):
    """Tries a feature, and prints what came of it."""
    try:
        what()
        print(f"{feature}|ok", flush=True)
        return True
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        print(f"{feature}|{type(error).__name__}: {str(error)[:200]}".replace("\n", " "), flush=True)
        return False


def expect(what, wanted):
    """Fails unless both are the same."""
    if what != wanted:
        raise AssertionError(f"{what!r} instead of {wanted!r}"[:300])
