"""Records what `bootbank fix` reads, writes and syncs, for benches/floor.rs to do again."""

import os
import re
import subprocess
from collections import Counter

from .measure import Failed, run

READS, WRITES = ("read", "readv", "pread64", "preadv"), ("write", "writev", "pwrite64", "pwritev")
# glibc opens with `openat`, musl with `open`, which not every architecture has.
OPENS = ("open", "openat")
CALLS = ",".join(("?open", "openat", "lseek", *READS, *WRITES, "fsync", "fdatasync", "fadvise64"))
LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)(<.*>)?(?: .*)?$")
DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def _text(quoted):
    return bytes.fromhex(quoted.replace("\\x", ""))


class Recording:
    """The operations of one run, as lines for benches/floor.rs, and the bytes it wrote."""

    def __init__(self, image, undo):
        self.image = os.path.realpath(image)
        self.undo = os.path.realpath(undo)
        self.lines = []
        self.data = bytearray()
        self.counts = Counter()
        self.positions = {}

    def _name(self, path):
        if path == self.image:
            return "image"
        if path == os.path.dirname(self.undo):
            return "directory"
        # The program gives the undo file its name when it is whole; until then the kernel has a number for it.
        folder, name = os.path.split(path)
        nameless = folder == os.path.dirname(self.undo) and name.startswith("#")
        return "undo" if path == self.undo or nameless else None

    def take(self, line):
        """One line of strace."""
        parsed = LINE.match(line)
        if not parsed:
            return
        call, words, result, opened = parsed.group(1), parsed.group(2), int(parsed.group(3)), parsed.group(4)
        if result < 0:
            return
        if call in OPENS:
            if opened:
                self.positions[result] = 0
            return
        at = DESCRIPTOR.match(words)
        name = at and self._name(_decoded(at.group(2)))
        if not name:
            return
        number = int(at.group(1))
        if call in ("read", "readv", "write", "writev"):
            offset = self.positions.get(number, 0)
            self.positions[number] = offset + result
        elif call == "lseek":
            self.positions[number] = result
        elif call in READS + WRITES:
            offset = int(words.rsplit(", ", 1)[1], 0)
        if call in READS and result:
            self._note("read", name, offset, result)
        elif call in WRITES:
            written = b"".join(_text(quoted.group(1)) for quoted in TEXT.finditer(words, at.end()))[:result]
            if len(written) != result:
                raise Failed(f"strace does not show all of what was written: {line[:120]}")
            self.data += written
            self._note("write", name, offset, result)
        elif call in ("fsync", "fdatasync"):
            self._note("datasync" if call == "fdatasync" else "sync", name)
        elif call == "fadvise64" and "DONTNEED" in words:
            self._note("forget", name)

    def _note(self, what, name, offset=None, length=0):
        self.lines.append(f"{what} {name}" if offset is None else f"{what} {name} {offset} {length}")
        self.counts["syncs" if what.endswith("sync") else f"{what}s"] += 1
        self.counts[f"bytes {what}"] += length

    def save(self, listed, data):
        with open(listed, "w", encoding="ascii") as out:
            out.write("".join(f"{line}\n" for line in self.lines))
        with open(data, "wb") as out:
            out.write(self.data)


def _decoded(path):
    return _text(path).decode() if path.startswith("\\x") else path


def record(command, image, undo, work):
    """Runs `command`, which changes `image` and makes `undo`, under strace."""
    trace = os.path.join(work, "trace")
    run("strace", "-f", "-qq", "-y", "-xx", "-s", 1 << 26, "-e", f"trace={CALLS}", "-o", trace, *command)
    recording = Recording(image, undo)
    with open(trace, encoding="ascii") as lines:
        for line in lines:
            recording.take(line.rstrip("\n"))
    os.unlink(trace)
    if not recording.counts["writes"] or not recording.counts["syncs"]:
        raise Failed("strace shows no write or no sync of the image")
    return recording


def may_trace(work):
    """Whether strace may trace here."""
    try:
        done = subprocess.run(
            ["strace", "-o", os.path.join(work, "probe"), "true"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0
