"""The helpers of the process tests serve here, too."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Process"))

from command_line import BROKERD  # noqa: E402


def pytest_sessionstart(session):
    if not session.config.option.collectonly and not os.access(BROKERD, os.X_OK):
        pytest.exit(f"there is no {BROKERD}: run `make build` first", returncode=2)
