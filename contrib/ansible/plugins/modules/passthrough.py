#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: the bootbank authors
# SPDX-License-Identifier: MIT OR Apache-2.0

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: passthrough
short_description: Set which PCI devices of an ESXi host are passed through, on its boot medium
description:
  - Sets the owner of PCI devices in the saved configuration of an ESXi host that is powered off.
  - This is for a host that can no longer do it itself, because a device that was passed through drives its boot
    medium, its console keyboard or its display. While the host runs, use M(community.vmware.vmware_host_passthrough).
  - The host must be powered off. A running host overwrites the change from memory.
options:
  devices:
    description:
      - The devices. Required if O(state=present).
      - If left out and O(state=absent), every device that is passed through is given back to the host.
    type: list
    elements: dict
    suboptions:
      device:
        description:
          - The address of the device as C(lspci) and C(esxcli) write it, its key in the configuration, or the name of
            its adapter, such as V(vmhba32).
        type: str
        required: true
  state:
    description:
      - V(present) passes the devices through to virtual machines.
      - V(absent) gives them back to the host.
    type: str
    choices: [present, absent]
    default: present
  allow_unknown:
    description:
      - Also take devices that the configuration does not name yet.
    type: bool
    default: false
extends_documentation_fragment:
  - bootbank.media.medium
  - bootbank.media.medium.change
"""

EXAMPLES = r"""
- name: Give every passed-through device back to the host
  bootbank.media.passthrough:
    path: /dev/disk/by-id/usb-SanDisk_Ultra-0:0
    state: absent
    confirm: true

- name: Give one back, in an image
  bootbank.media.passthrough:
    path: /srv/images/esx1.img
    devices:
      - device: "0000:00:14.0"
    state: absent

- name: Pass a graphics card through, in a copy of an image
  bootbank.media.passthrough:
    path: /srv/images/golden.img.gz
    dest: /srv/images/gpu.img
    devices:
      - device: "0000:3b:00.0"
    state: present
    allow_unknown: true
"""

RETURN = r"""
change:
  description: What bootbank says about the medium, as C(bootbank schema change) describes it.
  returned: when the program was run
  type: dict
  sample:
    schema: bootbank.change/1
    target: /srv/images/esx1.img
    outcome: changed
    banks:
      - partition: 5
        changes:
          - file: state.tgz
            source: esx.conf
            key: /device/0000:00:20.0/owner
            addresses: ["0000:00:14.0"]
            from: passthru
            to: vmkernel
undo_file:
  description: The file that C(bootbank undo) puts the old bytes back from, on the machine that the medium is attached to.
  returned: when the program was run
  type: str
  sample: /root/.local/state/bootbank/undo/20261126T120000Z-5f2c.undo
rc:
  description: The exit code of bootbank.
  returned: on failure
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bootbank.media.plugins.module_utils.program import CHANGE_ARGUMENTS, change


def main():
    module = AnsibleModule(
        argument_spec=dict(
            devices=dict(type="list", elements="dict", options=dict(device=dict(type="str", required=True))),
            state=dict(type="str", choices=["present", "absent"], default="present"),
            allow_unknown=dict(type="bool", default=False),
            **CHANGE_ARGUMENTS
        ),
        required_if=[("state", "present", ("devices",))],
        mutually_exclusive=[("dest", "undo_file")],
        supports_check_mode=True,
    )
    devices, state = module.params["devices"], module.params["state"]
    if devices is None:
        command = ["fix"]
    elif not devices:
        module.exit_json(changed=False, msg="no devices are named, so there is nothing to do")
    else:
        command = ["pci", "set", "--enable", "true" if state == "present" else "false"]
        for entry in devices:
            command += ["--device", entry["device"]]
        if module.params["allow_unknown"]:
            command.append("--new")
    change(module, command, [module.params["path"]])


if __name__ == "__main__":
    main()
