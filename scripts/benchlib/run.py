"""Measures everything and writes the page; scripts/bench.sh starts this with what it found or made."""

import argparse
import datetime
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from benchlib import contest, floor, inputs, machine, page, scaling  # noqa: E402
from benchlib.measure import Failed, Times  # noqa: E402

NEEDED = 3 << 30  # bytes that the images take at most, with the clones


class Bench:
    """What is run, how often, along which axes."""

    def __init__(self, asked):
        self.bootbank, self.dissect, self.work = asked.bootbank, asked.dissect, asked.work
        self.built = asked.built
        self.quick, self.machine_report = asked.quick, asked.machine_report
        self.left_out = list(asked.left_out)
        self.floor = asked.floor if floor.may_trace(self.work) else None
        if not self.floor:
            self.left_out.append("the floor, and what `fix` reads: strace may not trace here")
        self.guestfish = False
        if asked.guestfish:
            why = contest.guestfish_starts(self.work)
            self.guestfish = why is None
            if why:
                self.left_out.append(f"guestfish: {why}")
                told(f"left out: {self.left_out[-1]}")
        self.rounds, self.rounds_scaling = (3, 2) if self.quick else (31, 7)
        self.sizes = (1, 4, 16, 64)
        self.states = (0.1, 1, 5) if self.quick else (0.1, 0.5, 2, 10, 50)
        self.files = (0, 400) if self.quick else (0, 100, 200, 400)
        self.targets = (1, 10, 50) if self.quick else (1, 10, 100, 1000)
        self.modules = 8_000_000 if self.quick else 100_000_000


def told(what):
    print(f"bench.sh: {what}", flush=True)


def places(bench, asked, original, name):
    """The image on tmpfs, where syncs cost nothing, and on a disk."""
    found = []
    for kind, folder in (("tmpfs", asked.fast), ("disk", asked.disk)):
        if folder:
            copy = os.path.join(folder, f"{name}.original")
            inputs.copied(original, copy)
            found.append(contest.Place(kind, folder, copy))
    return found


def about(out, bench, found, load):
    out.heading("Performance", 1)
    out.say(
        "Written by `scripts/bench.sh" + (" --quick" if bench.quick else "")
        + f"` on {datetime.date.today()}. Numbers, and the sentences below the tables, are those of this run.",
        "Where commands are compared they take turns, each on a fresh copy of the same image. Given are medians; a ratio is",
        "the median of the ratios within a turn, to the first line of its table. \"Processor\" is user and system time of",
        "all processes. \"Memory\" is the largest resident size of one process.",
    )  # fmt: skip
    if bench.quick:
        out.say("**This was a short run with few turns: do not quote its times.**")
    rows = list(machine.described())
    for place in found:
        kind = "tmpfs" if place.name == "tmpfs" else f"a disk ({machine.storage(place.folder)})"
        rows.append((f"`fdatasync` after writing 4 KiB on {kind}", ms_or_us(place.sync_cost)))
    rows.append(("processes that wanted to run, at the start and at the end", f"{load:.1f} and {machine.load():.1f}"))
    out.table(["", ""], rows, left=2)
    out.table(["tool", "version"], machine.versions(bench), left=2)
    if bench.left_out:
        out.say("Left out in this run:", "", *(f"- {one}" for one in bench.left_out))


def ms_or_us(seconds):
    if seconds < 1e-6:
        return "less than 1 µs"
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def contests(out, bench, plain, encrypted):
    """The comparison on each kind of storage; returns the syncs of one fix."""
    syncs = 10  # only for the estimate of what many targets take, where strace cannot count them
    out.heading("One repair, made in several ways")
    out.say(
        "Both banks of an image of 6.7 (93 MiB, plain states) get every device back. After each way mtools, GNU tar and",
        "gzip must find nothing passed through. Only bootbank checks what it writes, orders it, and keeps an undo file.",
    )
    for place in plain:
        told(f"one repair, on {place.name}")
        rows, recording = contest.repair(bench, place, with_guestfish=place is plain[0])
        out.heading(f"On {'a disk' if place.name == 'disk' else place.name}", 3)
        page.ways(out, rows)
        out.say(*page.floor_sentences(rows, recording, place.sync_cost), *others(rows))
        if recording:
            syncs = recording.counts["syncs"]
    slow_syncs(out, bench, plain[0])
    out.heading("An encrypted state")
    out.say(
        "Both banks of an image of 7.0.2 hold a state that is encrypted with a key on the medium. The other ways cannot",
        "change it.",
    )
    for place in encrypted:
        told(f"an encrypted state, on {place.name}")
        rows, recording = contest.encrypted(bench, place)
        out.heading(f"On {'a disk' if place.name == 'disk' else place.name}", 3)
        page.ways(out, rows)
        out.say(*page.floor_sentences(rows, recording, place.sync_cost))
    out.heading("A look")
    told("a look")
    rows = contest.look(bench, plain[0])
    page.ways(out, rows)
    out.say("What is passed through, found in the same image" + on(plain[0]) + ".", *others(rows))
    return syncs


def slow_syncs(out, bench, place):
    """The repair where a sync takes long, as on a stick."""
    told("one repair, where syncs are slow")
    rows, recording, start = contest.slow_syncs(bench, place)
    if not rows:
        return
    (name, own), (floor_name, lowest) = rows
    each = page.ms(contest.SLOW_SYNC)
    out.heading("Where a sync is slow", 3)
    out.say(
        f"A USB stick takes milliseconds for a sync. Here strace holds each sync back for {each} ms{on(place)}; its own start,",
        f"{page.ms(start)} ms, is taken off.",
    )
    out.table(
        ["", "time, ms", "ratio to the floor"],
        [(page.named(name), page.ms(own.median()), page.factor(own.ratio(lowest))),
         (floor_name, page.ms(lowest.median()), page.factor(1))],
    )  # fmt: skip
    syncs = recording.counts["syncs"]
    out.say(f"Both sync {syncs} times, which takes {page.ms(syncs * contest.SLOW_SYNC)} ms.")


def others(rows):
    """How the other ways compare with the first."""
    first = rows[0]
    for name, times, base, _ in rows[1:]:
        if not name.startswith("floor"):
            ratio = times.ratio(base)
            less, more, ratio = (first[0], name, ratio) if ratio > 1 else (name, first[0], 1 / ratio)
            less, more = page.named(less), page.named(more)
            # A word rather than a name begins a sentence with a capital letter.
            yield f"{more[0].upper()}{more[1:]} takes {page.factor(ratio)} times as long as {less}."


def on(place):
    return f", on {place.name}" if place.name == "tmpfs" else ", on a disk"


def in_the_machine(out, report):
    """What scripts/vm/measure.sh said: lines "measured NAME REAL USER SYSTEM"."""
    times = {}
    with open(report, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if words[:1] == ["measured"] and len(words) == 5:
                one = times.setdefault(words[1], Times())
                one.wall.append(float(words[2]))
                one.cpu.append(float(words[3]) + float(words[4]))
    if set(times) != {"bootbank", "mount"}:
        raise Failed(f"the virtual machine did not measure both ways; it said {sorted(times)}")
    out.heading("A mount by the kernel")
    out.say(
        "In a virtual machine with a stock Debian kernel and a disk with a write cache: the same repair with bootbank, and",
        "with `mount -t vfat`, busybox's tar and sed, and `sync`, as root. QEMU emulates the processor and translates each",
        "program anew when it starts, which counts against the larger one: this says little about a real machine.",
    )
    mount, own = times["mount"], times["bootbank"]
    rows = [
        (name, page.ms(one.median()), page.factor(one.ratio(own)), page.factor(one.ratio(own, "cpu")))
        for name, one in (("`bootbank fix`", own), ("mount, tar, sed, sync", mount))
    ]
    out.table(["", "time, ms", "time, ratio", "processor, ratio"], rows)
    out.say(*others([("bootbank fix", own, own, 0), ("the mount", mount, own, 0)]))


def growing(out, bench, fast, plain, syncs, all_plain):
    where = on(plain).removeprefix(", ")
    told("images of growing size")
    points = scaling.image_sizes(bench, fast, plain.original)
    out.heading("The size of the image")
    out.say(f"The same banks in a sparse image of growing size, {where}. `fix -o` writes a changed copy.")
    page.axis(out, points, "GB", [("copy takes, KiB", lambda point: page.kib(point.more["blocks"]))])
    out.say(
        page.growth(points, "fix", "GB", "GB"), page.growth(points, "fix -o", "GB", "GB"), page.reads(points, "GB"),
        page.memory_growth(points, "fix", "GB"),
    )  # fmt: skip
    told("states of growing size")
    points = scaling.state_sizes(bench, fast)
    out.heading("The size of the state")
    out.say(
        f"Each of the two banks holds a plain state that is this long when unpacked, {where}.",
    )
    page.axis(out, points, "MB", [("read by `fix`, KiB", lambda point: page.kib(point.read))])
    out.say(
        page.growth(points, "fix", "MB", "MB"), page.growth(points, "info", "MB", "MB"),
        page.memory_growth(points, "fix", "MB"),
    )  # fmt: skip
    told("growing numbers of files in the banks")
    points = scaling.file_counts(bench, fast)
    out.heading("Files in the bank")
    out.say(f"So many small files more in the root directory of each bank, {where}.")
    page.axis(out, points, "files", [("read by `fix`, KiB", lambda point: page.kib(point.read))])
    out.say(
        page.growth(points, "fix", "files", "file"), page.reads(points, "files"),
        page.memory_growth(points, "fix", "files"),
    )  # fmt: skip
    out.heading("Many targets")
    out.say("Copies of one image are changed by one run; \"each\" is the time divided by the number of targets.")
    for place in all_plain:
        told(f"many targets, on {place.name}")
        points, left_out = scaling.targets(bench, place.folder, place.original, place.sync_cost, syncs)
        out.heading(f"On {'a disk' if place.name == 'disk' else place.name}", 3)
        page.targets(out, points, left_out)


def modules(out, bench, fast):
    told("modules")
    length, count, times = scaling.modules(bench, fast)
    out.heading("The content of modules")
    out.say(
        f"Two banks with {count} gzip files of {length / 1e6:.0f} MB together, invented content that shrinks to a little over",
        "half.",
    )
    out.table(
        ["", "time, ms", "processor, ms", "MB/s", "MB/s of one core", "memory, MiB"],
        [
            (
                f"`{name}`", page.ms(one.median()), page.ms(one.median("cpu")), f"{length / one.median() / 1e6:.0f}",
                f"{length / one.median('cpu') / 1e6:.0f}", page.mib(one.peak),
            )
            for name, one in times.items() if "--quick" not in name
        ],
    )  # fmt: skip
    verify, by_gzip, quick = times["bootbank verify"], times["gzip -t"], times["bootbank verify --quick"]
    out.say(
        "MB are packed bytes. For as much processor time `verify` gets through "
        f"{page.factor(by_gzip.ratio(verify, 'cpu'))} times as many as `gzip -t`.",
        f"It keeps {verify.median('cpu') / verify.median():.1f} cores busy. `verify --quick`, which leaves modules out, takes "
        f"{page.ms(quick.median())} ms.",
    )


def counts(out, bench, plain, encrypted):
    told("instructions")
    rows = scaling.counted(bench, plain, encrypted)
    out.heading("Instructions")
    out.table(["", "million instructions"], [(name, f"{count / 1e6:.1f}") for name, count in rows])
    by_name = dict(rows)
    start, plain_fix = by_name["the start alone (`--version`)"], by_name["`fix`, plain state"]
    out.say(
        "Counted by callgrind in user mode, start of the program included; they depend little on the machine. callgrind's",
        "processor has AES but no SHA instructions, so what derives a key counts more here than it takes.",
        f"The start is {start / plain_fix:.0%} of a `fix` of a plain state; an encrypted one takes "
        f"{by_name['`fix`, encrypted state'] / plain_fix:.1f} times as many as a plain one.",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootbank", "built", "floor", "work", "disk"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("fast", "dissect", "machine-report"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--guestfish", action="store_true")
    parser.add_argument("--left-out", action="append", default=[])
    parser.add_argument("--out", required=True)
    asked = parser.parse_args()
    # Whoever ends this ends what it measures too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ["LC_ALL"] = "C"
    os.environ["XDG_STATE_HOME"] = os.path.join(asked.work, "state")
    began, load = time.monotonic(), machine.load()
    for folder in filter(None, (asked.fast, asked.disk)):
        if machine.room(folder) < NEEDED:
            sys.exit(f"bench.sh: less than {NEEDED >> 30} GiB free in {folder}")
    bench = Bench(asked)
    original = inputs.bundled("esxi67-usb-passthru", os.path.join(asked.work, "plain.img"))
    plain = places(bench, asked, original, "plain")
    sealed = inputs.bundled("esxi702-encrypted", os.path.join(asked.work, "encrypted.img"))
    encrypted = places(bench, asked, sealed, "encrypted")
    fast = asked.fast or asked.disk
    body = page.Page()
    syncs = contests(body, bench, plain, encrypted)
    if bench.machine_report:
        in_the_machine(body, bench.machine_report)
    growing(body, bench, fast, plain[0], syncs, plain)
    modules(body, bench, fast)
    counts(body, bench, plain[0], encrypted[0])
    head = page.Page()
    about(head, bench, plain, load)
    partial = f"{asked.out}.partial"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(head.text() + "\n" + body.text())
    os.replace(partial, asked.out)
    told(f"{asked.out} written after {(time.monotonic() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"bench.sh: {error}")
