"""How time and memory grow: with the image, the state, the files of a bank, the number of targets, the modules."""

import os
import shutil
from pathlib import Path

from . import floor, inputs
from .contest import Place
from .measure import Contestant, instructions, paired, run


class Point:
    """What was measured at one place of an axis: the place, Times by the name of a command, and what fix reads."""

    def __init__(self, at, times, read=None, **more):
        self.at, self.times, self.read, self.more = at, times, read, more


def _read_by_fix(bench, place, fix):
    """Bytes of the image and the undo file that fix reads; None where strace may not trace."""
    if not bench.floor:
        return None
    place.fresh()
    return floor.record(fix, place.image, place.undo, bench.work).counts["bytes read"]


def _point(bench, place, at, commands, fix):
    ways = [Contestant(name, command, place.fresh) for name, command in commands.items()]
    times = paired(ways, bench.rounds_scaling, bench.work)
    return Point(at, times, _read_by_fix(bench, place, fix))


def image_sizes(bench, folder, original):
    """Sparse images of growing size, changed in place, looked into, and copied."""
    points = []
    for size in bench.sizes:
        longer = inputs.longer(original, os.path.join(folder, "longer.img"), size)
        place = Place("", folder, longer)
        copy = os.path.join(folder, "copy.img")
        fix = place.fix(bench)
        commands = {
            "fix": fix,
            "info": (bench.bootbank, "info", place.image),
            "fix -o": (bench.bootbank, "-q", "fix", "--force", "-o", copy, place.image),
        }
        point = _point(bench, place, size, commands, fix)
        point.more["blocks"] = os.stat(copy).st_blocks * 512
        points.append(point)
        for path in (copy, longer):
            os.unlink(path)
        place.clear()
    return points


def _made_points(bench, folder, settings):
    """Images that make-image makes with a setting of growing value."""
    points = []
    for at, setting in settings:
        original = inputs.made("esxi67-usb-passthru", os.path.join(folder, "made.img"), setting)
        place = Place("", folder, original)
        fix = place.fix(bench)
        commands = {"fix": fix, "info": (bench.bootbank, "info", place.image)}
        points.append(_point(bench, place, at, commands, fix))
        os.unlink(original)
        place.clear()
    return points


def state_sizes(bench, folder):
    settings = [(size, f"state-size={int(size * 1e6)}") for size in bench.states]
    return _made_points(bench, folder, settings)


def file_counts(bench, folder):
    return _made_points(bench, folder, [(count, f"files={count}") for count in bench.files])


class Clones:
    """Many copies of one image, made again before each run, with their undo files beside them."""

    def __init__(self, folder, original, count):
        self.folder = os.path.join(folder, "clones")
        self.list = os.path.join(folder, "clones.list")
        self.count = count
        with open(original, "rb") as file:
            content = file.read()
        self.size = len(content)
        step = 1 << 14
        blocks = ((at, content[at : at + step]) for at in range(0, len(content), step))
        self.blocks = [(at, block) for at, block in blocks if any(block)]

    def fresh(self):
        self.clear()
        os.mkdir(self.folder)
        names = [os.path.join(self.folder, f"{number:04}.img") for number in range(self.count)]
        for name in names:
            with open(name, "wb") as file:
                for at, block in self.blocks:
                    file.seek(at)
                    file.write(block)
                file.truncate(self.size)
        Path(self.list).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        os.environ["XDG_STATE_HOME"] = os.path.join(self.folder, "state")
        os.sync()

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def targets(bench, folder, original, sync_cost, syncs):
    """Points for numbers of targets at -j 1 and -j 2, and the numbers left out because of what their syncs cost."""
    points, left_out = [], []
    for count in bench.targets:
        if count * syncs * sync_cost > 60:
            left_out.append(count)
            continue
        clones = Clones(folder, original, count)
        ways = []
        for jobs in (1, 2):
            command = (bench.bootbank, "-q", "fix", "-y", "-j", jobs, "--from-file", clones.list)
            ways.append(Contestant(f"-j {jobs}", command, clones.fresh))
        rounds = 1 if count >= 1000 or bench.quick else bench.rounds_scaling
        points.append(Point(count, paired(ways, rounds, bench.work)))
        clones.clear()
    return points, left_out


def modules(bench, folder):
    """`verify` reads every module; so does gzip -t. Returns the length of the modules and Times by name."""
    original = inputs.made(
        "esxi70ga-plain", os.path.join(folder, "modules.img"), f"modules-size={bench.modules}", "layout=real"
    )
    extracted = os.path.join(folder, "modules")
    os.mkdir(extracted)
    files = []
    for number, start in inputs.bank_starts(original).items():
        bank = os.path.join(extracted, str(number))
        os.mkdir(bank)
        run("mcopy", "-n", "-i", f"{original}@@{start}", "::*", bank)
        for path in sorted(Path(bank).iterdir()):
            if path.read_bytes()[:2] == b"\x1f\x8b":
                files.append(path)
    length = sum(path.stat().st_size for path in files)
    ways = [
        Contestant("bootbank verify", (bench.bootbank, "-q", "verify", original)),
        Contestant("gzip -t", ("gzip", "-t", *files)),
        Contestant("bootbank verify --quick", (bench.bootbank, "-q", "verify", "--quick", original)),
    ]
    times = paired(ways, bench.rounds_scaling, bench.work)
    shutil.rmtree(extracted)
    os.unlink(original)
    return length, len(files), times


def counted(bench, plain, encrypted):
    """Instructions of some commands; plain and encrypted are Places."""
    rows = []
    for name, place, command in (
        ("the start alone (`--version`)", plain, (bench.bootbank, "--version")),
        ("`fix`, plain state", plain, plain.fix(bench)),
        ("`info`, plain state", plain, (bench.bootbank, "info", plain.image)),
        ("`fix`, encrypted state", encrypted, encrypted.fix(bench)),
    ):
        rows.append((name, instructions(Contestant(name, command, place.fresh))))
        place.clear()
    return rows
