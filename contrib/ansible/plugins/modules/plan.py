#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: the bootbank authors
# SPDX-License-Identifier: MIT OR Apache-2.0

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: plan
short_description: Make the edits of a plan on an ESXi boot medium
description:
  - Makes a boot medium of an ESXi host as a plan says. The plan is a file, a dictionary in the play, or the options that
    are named after those of C(virt-customize). What is already as the plan says stays as it is.
  - All edits are made together, with one undo file.
  - The host must be powered off. A running host overwrites the change from memory.
options:
  src:
    description:
      - A plan file (TOML), on the machine that the medium is attached to.
    type: path
  plan:
    description:
      - The plan as a dictionary, with the keys that a plan file has. C(docs/apply.md) of bootbank describes them.
      - If there are secrets in it, give the task C(no_log=true).
    type: dict
  host_map:
    description:
      - A CSV file with values for each host, on the machine that the medium is attached to.
    type: path
  hostname:
    description:
      - The name of the host.
    type: str
  domain:
    description:
      - The domain of the host.
    type: str
  ntp_servers:
    description:
      - NTP servers, in place of those the host has.
    type: list
    elements: str
  ssh_inject:
    description:
      - SSH keys to add to those that may log in as root, each as the line of a public key file.
    type: list
    elements: str
  write:
    description:
      - Files of the configuration to write.
    type: list
    elements: dict
    suboptions:
      path:
        description: The path, as the host sees it, without the first slash.
        type: str
        required: true
      content:
        description: The text of the file.
        type: str
        required: true
  delete:
    description:
      - Files of the configuration to remove, as the host sees them.
    type: list
    elements: str
extends_documentation_fragment:
  - bootbank.media.medium
  - bootbank.media.medium.change
"""

EXAMPLES = r"""
- name: Name a host, and let an administrator log in
  bootbank.media.plan:
    path: /srv/images/esx1.img
    hostname: esx1
    ssh_inject:
      - "{{ lookup('file', '~/.ssh/id_ed25519.pub') }}"

- name: Give every device back, and set a kernel option
  bootbank.media.plan:
    path: /dev/disk/by-id/usb-SanDisk_Ultra-0:0
    confirm: true
    plan:
      expect:
        build: 6.7.0
      device:
        - address: passed-through
          owner: vmkernel
      kernelopt:
        append: [allowLegacyCPU=true]

- name: A plan file, with values for each host
  bootbank.media.plan:
    path: /srv/images/esx2.img
    src: /srv/images/plan.toml
    host_map: /srv/images/hosts.csv
"""

RETURN = r"""
change:
  description: What bootbank says about the medium, as C(bootbank schema change) describes it.
  returned: when the program was run
  type: dict
undo_file:
  description: The file that C(bootbank undo) puts the old bytes back from, on the machine that the medium is attached to.
  returned: when the program was run
  type: str
rc:
  description: The exit code of bootbank.
  returned: on failure
  type: int
"""

import json
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bootbank.media.plugins.module_utils.program import CHANGE_ARGUMENTS, change

# The options that are shorthands, and where in a plan they go.
HOST = dict(hostname="name", domain="domain", ntp_servers="ntp", ssh_inject="ssh-key")


def as_toml(value):
    """A value as TOML writes it inside a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{ %s }" % ", ".join("%s = %s" % (as_toml(str(key)), as_toml(value[key])) for key in value)
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(as_toml(item) for item in value)
    if value is None:
        raise ValueError("a plan has no empty values: leave the key out")
    # The strings of JSON are those of TOML, but for one character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def with_shorthands(module):
    """The plan with what the other options add to it."""
    plan = dict(module.params["plan"] or {})
    host = dict(plan.get("host") or {})
    for option, key in HOST.items():
        if module.params[option] is not None:
            host[key] = module.params[option]
    if host:
        plan["host"] = host
    files = list(plan.get("file") or [])
    files += [dict(path=entry["path"], text=entry["content"]) for entry in module.params["write"] or []]
    files += [dict(path=path, remove=True) for path in module.params["delete"] or []]
    if files:
        plan["file"] = files
    return plan


def plan_file(module):
    """A plan file that says what the options say; removed when the module ends."""
    plan = with_shorthands(module)
    try:
        text = "".join("%s = %s\n" % (as_toml(str(key)), as_toml(plan[key])) for key in plan)
    except ValueError as error:
        module.fail_json(msg=str(error))
    handle, name = tempfile.mkstemp(suffix=".toml", dir=module.tmpdir)
    module.add_cleanup_file(name)
    with os.fdopen(handle, "wb") as writer:
        writer.write(text.encode("utf-8"))
    return name


def main():
    inline = dict(
        plan=dict(type="dict"),
        hostname=dict(type="str"),
        domain=dict(type="str"),
        ntp_servers=dict(type="list", elements="str"),
        ssh_inject=dict(type="list", elements="str"),
        write=dict(
            type="list",
            elements="dict",
            options=dict(path=dict(type="str", required=True), content=dict(type="str", required=True)),
        ),
        delete=dict(type="list", elements="str"),
    )
    module = AnsibleModule(
        argument_spec=dict(src=dict(type="path"), host_map=dict(type="path"), **dict(inline, **CHANGE_ARGUMENTS)),
        required_one_of=[["src"] + list(inline)],
        mutually_exclusive=[("src", option) for option in inline] + [("dest", "undo_file")],
        supports_check_mode=True,
    )
    command = ["apply"]
    if module.params["host_map"]:
        command += ["--host-map", module.params["host_map"]]
    plan = module.params["src"] or plan_file(module)
    change(module, command, [plan, module.params["path"]])


if __name__ == "__main__":
    main()
