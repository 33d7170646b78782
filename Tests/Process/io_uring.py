"""Runs a command for which the kernel has no io_uring, as in many containers:

    io_uring.py EPERM|ENOSYS COMMAND…

It uses a filter of system calls, which needs no rights, applies to everything that the command starts, and harms nothing else.
"""

import ctypes
import errno
import os
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
# The same on all architectures that came after 2019's calls.
SETUP = 425
SINGLE_ISSUER, DEFER_TASKRUN = 1 << 12, 1 << 13


def is_worthwhile():
    """Whether the kernel gives this process a ring of the kind that `auto` wants."""
    parameters = ctypes.create_string_buffer(struct.pack("=3I", 0, 0, SINGLE_ISSUER | DEFER_TASKRUN).ljust(120, b"\0"), 120)
    ring = LIBC.syscall(SETUP, 8, parameters)
    if ring >= 0:
        os.close(ring)
    return ring >= 0


def backends():
    """The backends that can be tested on this machine."""
    return ["epoll", "io_uring"] if is_worthwhile() else ["epoll"]


def forbid(answer):
    """From now on the kernel answers a request for a ring with the error `answer`."""
    class Filter(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("true", ctypes.c_ubyte), ("false", ctypes.c_ubyte), ("k", ctypes.c_uint)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]

    # Load the call's number; if it is this one, answer with the error; allow all others.
    lines = (Filter * 4)((0x20, 0, 0, 0), (0x15, 0, 1, SETUP), (0x06, 0, 0, 0x00050000 | answer), (0x06, 0, 0, 0x7FFF0000))
    program = Program(len(lines), lines)
    no_new_privileges, set_filter, filter_mode = 38, 22, 2
    if LIBC.prctl(no_new_privileges, 1, 0, 0, 0) or LIBC.prctl(set_filter, filter_mode, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def without(answer):
    """The prefix of a command."""
    return [sys.executable, __file__, answer]


if __name__ == "__main__":
    forbid(getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
