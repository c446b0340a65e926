"""Runs commands and measures them: hyperfine the time, GNU time the memory, callgrind the instructions."""

import json
import os
import re
import shlex
import statistics
import subprocess
import time
from dataclasses import dataclass, field


class Failed(Exception):
    """A measured command ended with an error, or did not do what it was to do."""


def run(*command, **options):
    """Runs a command; returns what it printed."""
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))[:300]}: exit code {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout


@dataclass
class Times:
    """Seconds of each round, and the largest resident size of one process in KiB."""

    wall: list = field(default_factory=list)
    cpu: list = field(default_factory=list)
    peak: int = 0

    def median(self, kind="wall"):
        return statistics.median(getattr(self, kind))

    def without(self, seconds):
        """The same with so much taken off each time on the clock."""
        return Times([taken - seconds for taken in self.wall], list(self.cpu), self.peak)

    def ratio(self, other, kind="wall"):
        """The median of the ratios to another command in the same round; None where the other took no time."""
        pairs = zip(getattr(self, kind), getattr(other, kind))
        ratios = [mine / its for mine, its in pairs if its > 0]
        return statistics.median(ratios) if ratios else None


@dataclass(frozen=True)
class Contestant:
    """A command, and what puts its files in place before each run."""

    name: str
    command: tuple
    prepare: object = None

    def ready(self):
        if self.prepare:
            self.prepare()


def _once(contestant, work):
    """One run, by hyperfine: seconds on the clock, seconds of processor time."""
    contestant.ready()
    result = os.path.join(work, "hyperfine.json")
    line = shlex.join(map(str, contestant.command))
    # One run at a time, so that the contestants take turns; no shell, whose start would be measured.
    run("hyperfine", "--shell=none", "--runs=1", "--style=none", f"--export-json={result}", line)
    with open(result, encoding="utf-8") as file:
        told = json.load(file)["results"][0]
    return told["times"][0], told["user"] + told["system"]


def memory(contestant, work):
    """The largest resident size of one of its processes, in KiB."""
    contestant.ready()
    result = os.path.join(work, "peak")
    run("/usr/bin/time", "-f", "%M", "-o", result, *contestant.command)
    with open(result, encoding="utf-8") as file:
        return int(file.read().split()[-1])


def paired(contestants, rounds, work, with_memory=True):
    """Measures commands in turns, in another order each round; returns a name's Times."""
    times = {one.name: Times() for one in contestants}
    for turn in range(rounds):
        at = turn % len(contestants)
        for one in contestants[at:] + contestants[:at]:
            wall, cpu = _once(one, work)
            times[one.name].wall.append(wall)
            times[one.name].cpu.append(cpu)
    for one in contestants if with_memory else ():
        times[one.name].peak = memory(one, work)
    return times


def instructions(contestant):
    """Instructions in user mode, counted by callgrind."""
    contestant.ready()
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *contestant.command]
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True, check=False)
    counted = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not counted:
        raise Failed(f"valgrind {contestant.name}: {done.stderr.strip()[-500:]}")
    return int(counted.group(1))


def sync_cost(folder, times=40):
    """Median seconds of writing 4 KiB and fdatasync."""
    path = os.path.join(folder, "sync-cost")
    taken = []
    with open(path, "wb") as file:
        file.write(bytes(times * 4096))
        file.flush()
        os.fsync(file.fileno())
        for turn in range(times):
            os.pwrite(file.fileno(), os.urandom(4096), turn * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    os.unlink(path)
    return statistics.median(taken)
