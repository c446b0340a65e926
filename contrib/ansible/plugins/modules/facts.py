#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: the bootbank authors
# SPDX-License-Identifier: MIT OR Apache-2.0

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: facts
short_description: Find out what is on ESXi boot media, and which are attached
description:
  - Looks at boot media without mounting them - the banks, which one boots next, whose medium it is, which PCI devices
    are passed through, and whether the medium boots.
  - Without O(path), looks for boot media among the disks that are attached to the machine, as C(bootbank scan) does.
  - Nothing is written. Read permission is enough.
options:
  path:
    description:
      - The media. Image files, packed ones too, or block devices.
      - Without this every attached disk is looked at, and said to be a boot medium or not.
    type: list
    elements: path
    aliases: [paths, medium]
  gather_subset:
    description:
      - What to say about each medium of O(path). V(info) and V(pci) when absent.
      - V(info) is the table, the banks and what boots next.
      - V(pci) is every PCI device in the configuration and its owner.
      - V(verify) follows the loader through every module and checks every layer, which takes longer.
    type: list
    elements: str
    choices: [info, pci, verify]
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
- name: Which attached disks are boot media?
  bootbank.media.facts:
- ansible.builtin.debug:
    msg: "{{ bootbank_disks | selectattr('verdict', 'equalto', 'boots') | map(attribute='target') }}"

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
      returned: when O(path) is given
      type: dict
      sample:
        /srv/images/esx1.img:
          info:
            schema: bootbank.info/1
            next_boot: {partition: 5, starts: true, reasons: []}
          pci:
            schema: bootbank.pci/1
    bootbank_disks:
      description:
        - What C(bootbank scan) says about each attached disk, as C(bootbank schema scan) describes it. A disk that
          cannot be read is among them, with C(error).
      returned: when O(path) is not given
      type: list
      elements: dict
      sample:
        - schema: bootbank.scan/1
          target: /dev/sdb
          verdict: passed-through boot controller
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bootbank.media.plugins.module_utils.program import COMMON_ARGUMENTS, DONE, Program

COMMANDS = dict(info=["info"], pci=["pci", "list"], verify=["verify"])
# Exit codes of a medium that could not be read at all, whatever was asked about it: wrong usage, I/O error.
NOT_READ = (2, 5)


def look(program, path, subsets):
    """What the program says about one medium, by question."""
    answers = {}
    for subset in subsets:
        answers[subset], code = program.object(COMMANDS[subset] + [path])
        if code in NOT_READ:
            program.fail(answers[subset], code)
    return answers


def attached(program):
    """What the program says about the attached disks."""
    said, code = program.objects(["scan"])
    if code != DONE:
        program.fail(said[-1] if said else {}, code)
    return said


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="list", elements="path", aliases=["paths", "medium"]),
            gather_subset=dict(type="list", elements="str", choices=["info", "pci", "verify"]),
            **COMMON_ARGUMENTS
        ),
        required_by=dict(gather_subset=["path"]),
        supports_check_mode=True,
    )
    program = Program(module)
    if module.params["path"] is None:
        facts = dict(bootbank_disks=attached(program))
    else:
        subsets = module.params["gather_subset"] or ["info", "pci"]
        facts = dict(bootbank_media=dict((path, look(program, path, subsets)) for path in module.params["path"]))
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
