"""The two executables, run to their end."""

import os
import resource
import subprocess
from pathlib import Path

from deadlines import ANSWER_DEADLINE, START_DEADLINE

REPOSITORY = Path(__file__).resolve().parents[2]
BROKERD = os.environ.get("BROKERD", str(REPOSITORY / ".build/release/brokerd"))
BROKERCTL = os.environ.get("BROKERCTL", str(Path(BROKERD).with_name("brokerctl")))


def run_control(*arguments, input=None, timeout=ANSWER_DEADLINE, cwd=None, environment=None, limits=None):
    """Runs brokerctl to its end; `limits` are its resource limits: {resource.RLIMIT_…: count}."""
    def take_limits():
        for kind, count in limits.items():
            resource.setrlimit(kind, (count, count))

    return subprocess.run(
        [BROKERCTL, *arguments], capture_output=True, timeout=timeout, cwd=cwd, env=os.environ | (environment or {}),
        # A limit shows as an error, not as the end of the process.
        preexec_fn=take_limits if limits else None, restore_signals=not limits,
        **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))


def run_brokerd(*arguments, cwd, deadline=START_DEADLINE, wrapper=()):
    """Runs a brokerd that is expected to exit; returns the result with its output."""
    try:
        return subprocess.run(
            [*wrapper, BROKERD, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=cwd, timeout=deadline, text=True)
    except subprocess.TimeoutExpired as expired:
        raise AssertionError(f"brokerd {arguments} went on running; it printed {expired.output!r}") from None
