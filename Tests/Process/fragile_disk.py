"""A disk that loses unsynced data, fails and fills up: fragile_disk.c, and the evaluation of its journal."""

import mmap
import os
import random
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fragile_disk.c")
# A disk writes these whole or not at all.
SECTOR = 512


def compile_library(directory):
    """Compiles fragile_disk.c into `directory`; returns the library's path."""
    library = Path(directory) / "fragile_disk.so"
    if not library.exists():
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        assert compiler, "no C compiler"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-D_GNU_SOURCE", "-o", str(library), str(SOURCE),
             "-ldl", "-lpthread"], check=True)
    return library


class Faults:
    """The faults of the disk, which can be changed while the broker runs."""

    FIELDS = {"failing_syncs": 0, "failing_dsync_writes": 1, "disk_size": 2, "failed": 3, "clock_offset": 4, "monotonic_offset": 5}

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.truncate(4096)
            self._page = mmap.mmap(file.fileno(), 4096)

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("<q", self._page, 8 * self.FIELDS[name], value)

    def get(self, name):
        return struct.unpack_from("<q", self._page, 8 * self.FIELDS[name])[0]


class FragileDisk:
    """A disk under one data directory; brokerd must be started with `environment`."""

    def __init__(self, directory, data, keeps_journal=False):
        directory = Path(directory)
        self.data = Path(data)
        self.data.mkdir(parents=True, exist_ok=True)
        self.journal = directory / "fragile.journal"
        self.faults = Faults(directory / "fragile.faults")
        self.environment = {
            "LD_PRELOAD": str(compile_library(directory)),
            "FRAGILE_DIRECTORY": os.path.realpath(self.data),
            "FRAGILE_FAULTS": str(directory / "fragile.faults"),
        }
        if keeps_journal:
            self.environment["FRAGILE_JOURNAL"] = str(self.journal)
        self._durable = {}

    def power_on(self):
        """Makes the present content durable and begins a new journal. Call it before each start of brokerd."""
        self._durable = {
            path: path.read_bytes() for path in self.data.iterdir() if path.is_file() and not path.is_symlink()}
        self.journal.unlink(missing_ok=True)

    def cut_power(self, chance, lies=False):
        """Leaves in the files what a disk would have: all synced data, and none or a random part of the rest.

        `chance` is the share of the unsynced sectors that reached the disk nevertheless, 0 to 1.
        A disk that `lies` reported a sync that it had not done.
        """
        images = {}
        for path, image in replay(self.journal, self._durable, chance, lies):
            images[path] = image
        for path, image in images.items():
            if path.exists():
                # Like a disk after the cut, not like the same file written again: its times are lost.
                path.unlink()
                path.write_bytes(image)
        # A mark is valid only in the boot in which it was written, and the machine has rebooted.
        (self.data / "broker.mdb-kept").unlink(missing_ok=True)
        return {path.name: len(image) for path, image in images.items()}


def replay(journal, durable, chance, lies=False):
    """Yields (path, bytes) for each file in the journal."""
    names, images, pending = {}, {}, {}

    def apply(image, offset, data, share=1.0):
        if len(image) < offset + len(data):
            if share < 1.0 and random.random() >= share:
                return
            image.extend(bytes(offset + len(data) - len(image)))
        if share >= 1.0:
            image[offset:offset + len(data)] = data
            return
        for begin in range(0, len(data), SECTOR):
            if random.random() < share:
                part = data[begin:begin + SECTOR]
                image[offset + begin:offset + begin + len(part)] = part

    content = journal.read_bytes() if journal.exists() else b""
    position = 0
    while position + 16 <= len(content):
        kind, file, _, length, offset = struct.unpack_from("<cBHIQ", content, position)
        position += 16
        if position + length > len(content):
            break  # killed while this was recorded, so before it was written
        data = content[position:position + length]
        position += length
        if kind == b"F":
            names[file] = Path(data.decode())
            images[file] = bytearray(durable.get(names[file], b""))
            pending[file] = []
        elif kind in (b"W", b"D"):
            pending[file].append((kind, offset, data))
        elif kind == b"T":
            pending[file].append((kind, offset, b""))
        elif lies:
            continue
        elif kind == b"d":
            # O_DSYNC: this write is on the disk, earlier ones need not be.
            done = next(i for i in reversed(range(len(pending[file])))
                        if pending[file][i][0] == b"D" and pending[file][i][1] == offset)
            _, _, data = pending[file].pop(done)
            apply(images[file], offset, data)
        elif kind == b"S":
            for one, begin, data in pending[file]:
                if one == b"T":
                    resize(images[file], begin)
                else:
                    apply(images[file], begin, data)
            pending[file] = []
    for file, name in names.items():
        image = images[file]
        for kind, begin, data in pending[file]:
            if kind == b"T":
                if random.random() < chance:
                    resize(image, begin)
            elif chance > 0:
                apply(image, begin, data, min(chance, 0.999999))
        yield name, bytes(image)


def resize(image, length):
    if length < len(image):
        del image[length:]
    else:
        image.extend(bytes(length - len(image)))
