"""The images that are measured: made by make-image or bundled, copied anew before each run."""

import gzip
import json
import os
import pathlib
import shutil
import sys

from .measure import run

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def bundled(name, path):
    """Unpacks a bundled image, with holes."""
    with gzip.open(ROOT / f"testimages/{name}.img.gz") as packed, open(path, "wb") as image:
        while block := packed.read(1 << 16):
            if any(block):
                image.write(block)
            else:
                image.seek(len(block), os.SEEK_CUR)
        image.truncate(image.tell())
    return path


def made(profile, path, *settings):
    """Makes an image; `settings` are those of make-image --set."""
    options = [word for setting in settings for word in ("--set", setting)]
    run(sys.executable, ROOT / "scripts/make-image", profile, path, *options)
    return path


def longer(original, path, gigabytes):
    """A copy that is a sparse file of so many GB, with the backup of its table at its end."""
    copied(original, path)
    os.truncate(path, gigabytes * 10**9 // 512 * 512)
    run("sgdisk", "-e", path)
    return path


def copied(original, path, synced=False):
    """A copy with the same holes; `synced` where what was copied must not be written back during a measured run."""
    run("cp", "--sparse=always", "--reflink=auto", original, path)
    if synced:
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def bank_starts(image):
    """Partition number -> byte at which a bank of an image begins."""
    table = json.loads(run("sfdisk", "--json", image))["partitiontable"]["partitions"]
    numbers = {int(one["node"][len(str(image)) :]): one["start"] * 512 for one in table}
    return {number: start for number, start in numbers.items() if number in (5, 6)}


def passed_through(image, work):
    """How many devices the plain states of an image pass through, as mtools, GNU tar and gzip read them."""
    count = 0
    os.environ["MTOOLS_SKIP_CHECK"] = "1"
    for start in bank_starts(image).values():
        folder = os.path.join(work, "judged")
        os.mkdir(folder)
        try:
            run("mcopy", "-n", "-i", f"{image}@@{start}", "::state.tgz", f"{folder}/state.tgz")
            run("tar", "-xzf", f"{folder}/state.tgz", "-C", folder)
            run("tar", "-xzf", f"{folder}/local.tgz", "-C", folder)
            count += pathlib.Path(folder, "etc/vmware/esx.conf").read_text().count('= "passthru"')
        finally:
            shutil.rmtree(folder)
    return count


def sectors_changed(before, after):
    """How many sectors of 512 bytes differ."""
    with open(before, "rb") as old, open(after, "rb") as new:
        changed = 0
        while block := old.read(1 << 16):
            other = new.read(1 << 16)
            if block != other:
                changed += sum(block[at : at + 512] != other[at : at + 512] for at in range(0, len(block), 512))
    return changed
