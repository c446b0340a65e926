"""Finds the devices passed through with dissect: look.py IMAGE"""

import io
import sys
import tarfile

from dissect.target import Target

# Only its volumes: the modules of the image are invented, and its reader of an installed ESXi stops at them.
target = Target.open(sys.argv[1], apply=False)
for layer in (target.disks, target.volumes, target.filesystems):
    layer.apply()
found = 0
for volume in target.filesystems:
    path = volume.path("/state.tgz")
    if path.exists():
        outer = tarfile.open(fileobj=io.BytesIO(path.open().read()))
        inner = tarfile.open(fileobj=io.BytesIO(outer.extractfile("local.tgz").read()))
        found += inner.extractfile("etc/vmware/esx.conf").read().count(b'= "passthru"')
assert found == 4, found
