#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: the bootbank authors
# SPDX-License-Identifier: MIT OR Apache-2.0

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: facts
short_description: Find out what is on ESXi boot media
description:
  - Looks at boot media without mounting them - the banks, which one boots next, whose medium it is, which PCI devices
    are passed through, and whether the medium boots.
  - Nothing is written. Read permission is enough.
options:
  path:
    description:
      - The media. Image files, packed ones too, or block devices.
    type: list
    elements: path
    required: true
    aliases: [paths, medium]
  gather_subset:
    description:
      - V(info) is the table, the banks and what boots next.
      - V(pci) is every PCI device in the configuration and its owner.
      - V(verify) follows the loader through every module and checks every layer, which takes longer.
    type: list
    elements: str
    choices: [info, pci, verify]
    default: [info, pci]
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  facts:
    description: Returns facts about media. They are those of the machine that the media are attached to.
    support: full
extends_documentation_fragment:
  - bootbank.media.medium
"""

EXAMPLES = r"""
- name: Look at a stick
  bootbank.media.facts:
    path: /dev/disk/by-id/usb-SanDisk_Ultra-0:0

- name: Say which media would not boot
  bootbank.media.facts:
    path: "{{ query('fileglob', '/srv/images/*.img') }}"
    gather_subset: [verify]
- ansible.builtin.debug:
    msg: "{{ item.key }}: {{ item.value.verify.findings | map(attribute='message') | join('; ') }}"
  loop: "{{ bootbank_media | dict2items }}"
  when: not item.value.verify.ok
"""

RETURN = r"""
ansible_facts:
  description: Facts about the media.
  returned: always
  type: dict
  contains:
    bootbank_media:
      description:
        - For each path, what C(bootbank info), C(bootbank pci list) and C(bootbank verify) say, as
          C(bootbank schema NAME) describes it.
        - An object whose question cannot be answered, as for a sealed state, holds C(error).
      returned: always
      type: dict
      sample:
        /srv/images/esx1.img:
          info:
            schema: bootbank.info/1
            next_boot: {partition: 5, starts: true, reasons: []}
          pci:
            schema: bootbank.pci/1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bootbank.media.plugins.module_utils.program import COMMON_ARGUMENTS, Program

COMMANDS = dict(info=["info"], pci=["pci", "list"], verify=["verify"])
# Exit codes of a medium that could not be read at all, whatever was asked about it: wrong usage, I/O error.
NOT_READ = (2, 5)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="list", elements="path", required=True, aliases=["paths", "medium"]),
            gather_subset=dict(
                type="list", elements="str", choices=["info", "pci", "verify"], default=["info", "pci"]
            ),
            **COMMON_ARGUMENTS
        ),
        supports_check_mode=True,
    )
    program = Program(module)
    media = {}
    for path in module.params["path"]:
        media[path] = {}
        for subset in module.params["gather_subset"]:
            said, code = program.object(COMMANDS[subset] + [path])
            if code in NOT_READ:
                program.fail(said, code)
            media[path][subset] = said
    module.exit_json(changed=False, ansible_facts=dict(bootbank_media=media))


if __name__ == "__main__":
    main()
