"""Invented content: bytes that follow from a seed, and the files of a bank by ESXi release."""

import gzip
import hashlib
import random
import uuid


def random_bytes(seed, length):
    """`length` bytes that look random and depend on `seed` only."""
    out = bytearray()
    counter = 0
    while len(out) < length:
        out += hashlib.sha256(f"{seed}/{counter}".encode()).digest()
        counter += 1
    return bytes(out[:length])


def number(seed, below):
    """A number in 0..below that depends on `seed` only."""
    return int.from_bytes(random_bytes(seed, 8), "little") % below


def guid(seed):
    """A version 4 UUID that depends on `seed` only."""
    return uuid.UUID(bytes=random_bytes(seed, 16), version=4)


def filler(seed, length):
    """`length` bytes, different in every 512, which still compress about tenfold.

    Each 512 bytes name their file and position, so a cluster that ends up in the
    wrong place is noticed.
    """
    out = bytearray()
    tail = b"invented payload, no part of any VMware product. " * 11
    index = 0
    while len(out) < length:
        head = f"{seed} block {index:06d} ".encode() + random_bytes(f"{seed}/{index}", 16)
        out += (head + tail)[:512]
        index += 1
    return bytes(out[:length])


def bank_files(generation, seed, scale):
    """(name, content) of the kernel and module files of a bank, `scale` bytes being a usual size."""
    names = {
        4: "b.z k.z s.z c.z oem.tgz license.tgz m.z",
        5: "b.b00 jumpstrt.gz useropts.gz k.b00 chardevs.b00 a.b00 user.b00 sb.v00 s.v00 misc_dri.v00 "
        "net_e100.v00 scsi_mpt.v00 xorg.v00 imgdb.tgz imgpayld.tgz",
        6: "b.b00 jumpstrt.gz useropts.gz features.gz k.b00 chardevs.b00 a.b00 user.b00 uc_intel.b00 sb.v00 s.v00 "
        "ata_pata.v00 ehci_ehc.v00 misc_dri.v00 xhci_xhc.v00 vmkusb.v00 tools.t00 imgdb.tgz imgpayld.tgz",
        7: "b.b00 jumpstrt.gz useropts.gz features.gz k.b00 uc_intel.b00 procfs.b00 vmx.v00 vim.v00 tpm.v00 sb.v00 s.v00 "
        "vmkusb.v00 nvme_pci.v00 loadesx.v00 tools.t00 imgdb.tgz basemisc.tgz resvibs.tgz imgpayld.tgz",
    }[min(generation, 7)].split()
    for name in names:
        size = 34 if name.endswith(".gz") else scale // 3 + number(f"{seed}/{name}", scale)
        yield name, filler(f"{seed}/{name}", size)


def packed_bank_files(generation, seed, total):
    """The same names; the modules are gzip files of equal length, `total` bytes together.

    Half of what is in them does not compress, so that they shrink about as programs do.
    """
    names = [name for name, _ in bank_files(generation, seed, 3)]
    large = [name for name in names if not name.endswith(".gz")]
    for name in names:
        if name not in large:
            yield name, filler(f"{seed}/{name}", 34)
            continue
        # What compresses tenfold adds a tenth of its length.
        half = int(total / len(large) / 1.1)
        noise = random.Random(f"{seed}/{name}").randbytes(half)
        text = filler(f"{seed}/{name}", half)
        mixed = b"".join(noise[at : at + 512] + text[at : at + 512] for at in range(0, half, 512))
        yield name, gzip.compress(mixed, 6, mtime=0)


def more_files(seed, count):
    """(name, content) of `count` small files beside those of a release."""
    for index in range(count):
        yield f"more{index:04d}.dat", filler(f"{seed}/{index}", 700)


def modules(generation, state="state.tgz"):
    """The `modules=` value that goes with `bank_files`."""
    names = [name for name, _ in bank_files(generation, "", 3)]
    return " --- ".join([n for n in names if n not in ("b.z", "b.b00", "imgpayld.tgz")] + [state])
