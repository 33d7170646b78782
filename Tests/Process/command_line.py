"""The two executables, run to their end."""

import os
import subprocess
from pathlib import Path

from deadlines import ANSWER_DEADLINE, START_DEADLINE

REPOSITORY = Path(__file__).resolve().parents[2]
BROKERD = os.environ.get("BROKERD", str(REPOSITORY / ".build/release/brokerd"))
BROKERCTL = os.environ.get("BROKERCTL", str(Path(BROKERD).with_name("brokerctl")))


def run_control(*arguments, input=None, timeout=ANSWER_DEADLINE):
    return subprocess.run(
        [BROKERCTL, *arguments], capture_output=True, timeout=timeout,
        **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))


def run_brokerd(*arguments, cwd, deadline=START_DEADLINE, wrapper=()):
    """Runs a brokerd that is expected to end by itself; returns it with all it printed."""
    try:
        return subprocess.run(
            [*wrapper, BROKERD, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=cwd, timeout=deadline, text=True)
    except subprocess.TimeoutExpired as expired:
        raise AssertionError(f"brokerd {arguments} went on running; it printed {expired.output!r}") from None
