"""Running other programs with nothing of the caller's environment in the result."""

import os
import shutil
import subprocess
import sys
import time

# sfdisk, mkfs.fat and fsck.fat live in sbin, which an ordinary user's PATH may lack.
SEARCH_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


class ToolError(Exception):
    """A program is missing or failed; the text says which and how."""


class Tools:
    """Runs programs as if the clock stood at `epoch` (seconds since 1970, UTC)."""

    def __init__(self, epoch):
        self.epoch = epoch
        self.env = {
            "PATH": SEARCH_PATH,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "HOME": "/nonexistent",
            "SOURCE_DATE_EPOCH": str(epoch),
            "MTOOLSRC": "/dev/null",
        }

    def run(self, *argv, stdin=None, cwd=None):
        """Runs `argv`, returns its stdout as bytes; raises ToolError on any failure."""
        program = shutil.which(argv[0], path=SEARCH_PATH)
        if program is None:
            raise ToolError(f"{argv[0]} is not installed")
        done = subprocess.run(
            [program, *map(str, argv[1:])],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=self.env,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise ToolError(f"{' '.join(map(str, argv))}: exit {done.returncode}: {said}")
        return done.stdout


def set_time(path, when, follow_symlinks=True):
    """Gives a file a fixed modification time, in seconds since 1970."""
    os.utime(path, (when, when), follow_symlinks=follow_symlinks)


def dated(year, month, day, hour=0, minute=0, second=0):
    """Seconds since 1970 of a UTC time."""
    import calendar

    return calendar.timegm((year, month, day, hour, minute, second))


def utc_text(when):
    """`2021-08-11 07:44:45`, as SQLite writes times."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))


def python_with_cryptography():
    """An interpreter that can import `cryptography`: this one, Debian's, or None.

    The python3 first on PATH need not be the one Debian's python3-cryptography
    package serves.
    """
    for candidate in (sys.executable, os.environ.get("BOOTBANK_PYTHON"), "/usr/bin/python3"):
        if not candidate or not os.path.exists(candidate):
            continue
        probe = subprocess.run(
            [candidate, "-c", "from cryptography.hazmat.primitives.ciphers.aead import AESGCM"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if probe.returncode == 0:
            return candidate
    return None
