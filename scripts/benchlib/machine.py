"""What the measurements were made on, and with which tools."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

TOOLS = (
    ("mtools", ("mcopy", "--version")),
    ("GNU tar", ("tar", "--version")),
    ("GNU sed", ("sed", "--version")),
    ("gzip", ("gzip", "--version")),
    ("coreutils", ("sync", "--version")),
    ("hyperfine", ("hyperfine", "--version")),
    ("valgrind", ("valgrind", "--version")),
    ("strace", ("strace", "--version")),
    ("rustc", ("rustc", "--version")),
)


def first_line(*command):
    """The first line of what a command says, or None."""
    try:
        done = subprocess.run([str(it) for it in command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def _version(line):
    """The version in a line such as "tar (GNU tar) 1.34"."""
    found = re.findall(r"\d+(?:\.\d+)+", line)
    return found[0] if found else line


def described():
    """(what, value) of the machine."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text(), re.M)
    yield "processor", f"{cpu.group(1) if cpu else platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    yield "memory", f"{int(memory.group(1)) / 2**20:.0f} GiB"
    yield "kernel", platform.release()
    yield "system", system.group(1) if system else "not known"


def versions(bench):
    """(tool, version) of everything that was run."""
    yield "bootbank", f"{_version(first_line(bench.bootbank, '--version'))}, {bench.built}"
    for name, command in TOOLS:
        said = first_line(*command)
        if said:
            yield name, _version(said)
    yield "Python", platform.python_version()
    if bench.guestfish:
        yield "guestfish", _version(first_line("guestfish", "--version"))
    if bench.dissect:
        code = "import importlib.metadata as m; print(m.version('dissect.target'))"
        yield "dissect.target", first_line(bench.dissect, "-c", code)
    if bench.machine_report:
        yield "QEMU", _version(first_line("qemu-system-x86_64", "--version"))


def storage(folder):
    """The type of the file system that a folder is on."""
    return first_line("findmnt", "-n", "-o", "FSTYPE", "-T", folder) or first_line("stat", "-f", "-c", "%T", folder)


def room(folder):
    return shutil.disk_usage(folder).free


def load():
    return os.getloadavg()[0]
