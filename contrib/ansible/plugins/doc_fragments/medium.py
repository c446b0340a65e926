# -*- coding: utf-8 -*-
# Copyright: the bootbank authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the documentation of the modules shares."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


class ModuleDocFragment(object):
    """Options of every module, and of those that change a medium."""

    DOCUMENTATION = r"""
options:
  executable:
    description:
      - The program C(bootbank) on the machine that the medium is attached to, or its path.
      - It is one static file. Nothing else is needed there but Python.
    type: str
    default: bootbank
  bank:
    description:
      - Which banks. V(all), V(next) for the one that boots next, or a partition number.
    type: str
    default: all
  sector_size:
    description:
      - Logical sector size of an image file. Detected when absent.
    type: int
    choices: [512, 4096]
  recovery_key_file:
    description:
      - A file with the recovery key that opens a sealed state, on the machine that the medium is attached to.
    type: path
requirements:
  - bootbank
author:
  - bootbank maintainers (!UNKNOWN)
"""

    CHANGE = r"""
options:
  path:
    description:
      - The medium. An image file, or a block device such as V(/dev/disk/by-id/usb-...).
    type: path
    required: true
    aliases: [medium]
  dest:
    description:
      - Leave the medium alone, and write a changed copy to this file. A name that ends in V(.gz) or V(.zst) is packed.
      - The same medium with the same options gives the same bytes, so a copy that is there already counts as unchanged.
      - To find out, the copy is made again beside O(dest), also in check mode. There must be room for it.
    type: path
  confirm:
    description:
      - Answer the questions that a person at a terminal would be asked with yes.
      - Block devices need this. So do changes after which a host may miss a disk or not start.
    type: bool
    default: false
  undo_file:
    description:
      - Where the undo file goes, on the machine that the medium is attached to. The file must not exist.
      - Without this it is a new file in C(~/.local/state/bootbank/undo) there.
    type: path
attributes:
  check_mode:
    description: Can say whether something would change, without a change.
    support: full
  diff_mode:
    description: Shows the configuration before and after. Secrets are left out.
    support: full
"""
