"""How long the tests wait, and how: polling with a deadline, never sleeping."""

import select
import time

# Seconds. Generous, because the machine may be slow and busy; no test waits longer than necessary.
START_DEADLINE = 60
STOP_DEADLINE = 60
ANSWER_DEADLINE = 60


def wait_until(condition, what, deadline=ANSWER_DEADLINE):
    """Polls `condition` until it is true and returns its value; fails with `what` after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(0.01)


def can_read(descriptor, seconds=ANSWER_DEADLINE):
    """Whether there is something to read, or an end, within some seconds; `select` takes no descriptor above 1,023."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * seconds))
