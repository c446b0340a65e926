"""The same change made in several ways, and the same look: who takes how long."""

import filecmp
import os
import subprocess
from pathlib import Path

from . import floor, inputs
from .measure import Contestant, Failed, paired, sync_cost

HERE = Path(__file__).resolve().parent
PASSED_THROUGH = 4  # devices in esxi67-usb-passthru, two in each bank
SLOW_SYNC = 5e-3  # seconds


class Place:
    """A folder on one kind of storage, with one image that is changed again and again."""

    def __init__(self, name, folder, original):
        self.name, self.folder, self.original = name, folder, original
        self.sync_cost = sync_cost(folder)

    @property
    def image(self):
        return os.path.join(self.folder, "measured.img")

    @property
    def undo(self):
        return os.path.join(self.folder, "measured.undo")

    def fresh(self):
        """The image as it was, and no undo file."""
        inputs.copied(self.original, self.image, synced=True)
        if os.path.exists(self.undo):
            os.unlink(self.undo)

    def fix(self, bench):
        return (bench.bootbank, "-q", "fix", "-y", "-z", self.undo, self.image)

    def clear(self):
        for path in (self.image, self.undo):
            if os.path.exists(path):
                os.unlink(path)


def record_floor(bench, place, name):
    """The contestant that does what `bootbank fix` did; None where strace may not trace. Checked by its bytes."""
    if not bench.floor:
        return None, None
    place.fresh()
    recording = floor.record(place.fix(bench), place.image, place.undo, bench.work)
    listed, data = (os.path.join(place.folder, f"{name}.{kind}") for kind in ("list", "data"))
    recording.save(listed, data)
    changed = os.path.join(place.folder, "changed.img")
    inputs.copied(place.image, changed)
    os.rename(place.undo, f"{changed}.undo")
    command = (bench.floor, listed, data, place.image, place.undo)
    place.fresh()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    for made, wanted in ((place.image, changed), (place.undo, f"{changed}.undo")):
        if not filecmp.cmp(made, wanted, shallow=False):
            raise Failed("the floor program does not leave the bytes that bootbank leaves")
        os.unlink(wanted)
    return Contestant("floor: the same reads, writes and syncs alone", command, place.fresh), recording


def repair(bench, place, with_guestfish):
    """Measures the ways to give every device of both banks back; returns rows for the page."""
    lowest, recording = record_floor(bench, place, "plain")
    ways = [
        Contestant("bootbank fix", place.fix(bench), place.fresh),
        Contestant("mtools, tar, sed, sync", (HERE / "by-mtools", place.image, place.folder), place.fresh),
    ]
    changed = {}
    for way in ways:
        changed[way.name] = _changed_by(bench, place, way)
    if lowest:
        changed[lowest.name] = changed[ways[0].name]
        ways.append(lowest)
    times = paired(ways, bench.rounds, bench.work)
    rows = [(way.name, times[way.name], times[ways[0].name], changed[way.name]) for way in ways]
    if bench.guestfish and with_guestfish:
        slow = Contestant("guestfish", (HERE / "by-guestfish", place.image, place.folder), place.fresh)
        sectors = _changed_by(bench, place, slow)
        times = paired([ways[0], slow], 1 if bench.quick else 3, bench.work)
        rows.append((slow.name, times[slow.name], times[ways[0].name], sectors))
    place.clear()
    return rows, recording


def _changed_by(bench, place, way):
    """Runs a way once; other tools must find nothing passed through afterwards. Returns the sectors it changed."""
    way.ready()
    if inputs.passed_through(place.image, bench.work) != PASSED_THROUGH:
        raise Failed(f"{place.original} does not pass {PASSED_THROUGH} devices through")
    done = subprocess.run([str(it) for it in way.command], capture_output=True, text=True, check=False)
    if done.returncode or inputs.passed_through(place.image, bench.work):
        raise Failed(f"{way.name} does not make the change: {done.stderr.strip()[-800:]}")
    return inputs.sectors_changed(place.original, place.image)


def slow_syncs(bench, place):
    """The change and its floor where each sync takes SLOW_SYNC longer: strace holds the program back for so long. Returns
    rows for the page, the recording, and the seconds that strace itself takes to start, which are not in the times."""
    lowest, recording = record_floor(bench, place, "slow")
    if not lowest:
        return None, None, None
    syncs = "fsync,fdatasync"
    held_back = (
        "strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", f"trace={syncs}",
        "-e", f"inject={syncs}:delay_exit={SLOW_SYNC * 1e6:.0f}",
    )  # fmt: skip
    alone = Contestant("strace alone", (*held_back, "true"))
    ways = [
        Contestant("bootbank fix", (*held_back, *place.fix(bench)), place.fresh),
        Contestant(lowest.name, (*held_back, *lowest.command), place.fresh),
    ]
    times = paired([*ways, alone], bench.rounds, bench.work, with_memory=False)
    place.clear()
    start = times[alone.name].median()
    rows = [(way.name, times[way.name].without(start)) for way in ways]
    return rows, recording, start


def encrypted(bench, place):
    """The same for an encrypted state, which of these only bootbank changes."""
    lowest, recording = record_floor(bench, place, "encrypted")
    ways = [Contestant("bootbank fix", place.fix(bench), place.fresh)] + ([lowest] if lowest else [])
    times = paired(ways, bench.rounds, bench.work)
    place.fresh()
    subprocess.run([str(it) for it in place.fix(bench)], check=True, stdout=subprocess.DEVNULL)
    sectors = inputs.sectors_changed(place.original, place.image)
    place.clear()
    return [(way.name, times[way.name], times[ways[0].name], sectors) for way in ways], recording


def look(bench, place):
    """Measures the ways to find the devices that are passed through."""
    place.fresh()
    ways = [
        Contestant("bootbank pci list", (bench.bootbank, "pci", "list", place.image)),
        Contestant("bootbank info", (bench.bootbank, "info", place.image)),
    ]
    if bench.dissect:
        ways.append(Contestant("dissect", (bench.dissect, HERE / "look.py", place.image)))
    times = paired(ways, bench.rounds, bench.work)
    place.clear()
    return [(way.name, times[way.name], times[ways[0].name], 0) for way in ways]


def guestfish_starts(work):
    """None where guestfish can start its machine, with KVM or without; otherwise what it says."""
    why = _guestfish_fails(work)
    if why:
        # There may be a /dev/kvm that no machine comes up with.
        os.environ["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
        why = _guestfish_fails(work)
    return why


def _guestfish_fails(work):
    empty = os.path.join(work, "empty.img")
    with open(empty, "wb") as file:
        file.truncate(1 << 20)
    try:
        done = subprocess.run(
            ["guestfish", "--format=raw", "-a", empty, "run"],
            capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        return "it is not installed"
    except subprocess.TimeoutExpired:
        return "it does not start within 300 seconds"
    finally:
        os.unlink(empty)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or ["it says nothing"]
        return f"it does not start here: {said[0]}"
    return None
