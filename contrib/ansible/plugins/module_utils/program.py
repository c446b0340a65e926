# -*- coding: utf-8 -*-
# Copyright: the bootbank authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs the program bootbank and turns what it says into what a module returns."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import filecmp
import json
import os
import shutil
import tempfile

# Exit codes of the program, as far as a module tells them apart.
DONE = 0

COMMON_ARGUMENTS = dict(
    executable=dict(type="str", default="bootbank"),
    bank=dict(type="str", default="all"),
    sector_size=dict(type="int", choices=[512, 4096]),
    recovery_key_file=dict(type="path", no_log=False),
)

CHANGE_ARGUMENTS = dict(
    path=dict(type="path", required=True, aliases=["medium"]),
    dest=dict(type="path"),
    confirm=dict(type="bool", default=False),
    undo_file=dict(type="path"),
    **COMMON_ARGUMENTS
)


class Program(object):
    """The program with the options that every command takes."""

    def __init__(self, module):
        self.module = module
        executable = os.path.expanduser(module.params["executable"])
        if os.sep not in executable:
            executable = module.get_bin_path(executable, required=True)
        elif not os.access(executable, os.X_OK):
            module.fail_json(msg="%s is not there, or cannot be run" % executable)
        self.executable = executable
        self.options = ["--color", "never", "--bank", module.params["bank"]]
        for option, name in (("--sector-size", "sector_size"), ("--recovery-key", "recovery_key_file")):
            if module.params[name] is not None:
                self.options += [option, str(module.params[name])]

    def text(self, arguments):
        """What a command writes for people, and its exit code."""
        code, stdout, stderr = self.module.run_command([self.executable] + self.options + arguments)
        return stdout, code

    def objects(self, arguments):
        """The JSON objects that a command writes, one for each target, and its exit code."""
        return self._said(arguments, lambda text: [json.loads(line) for line in text.splitlines()])

    def object(self, arguments):
        """The JSON object that a command writes about its only target, and its exit code."""
        return self._said(arguments, json.loads)

    def _said(self, arguments, read):
        command = [self.executable, "--json"] + self.options + arguments
        code, stdout, stderr = self.module.run_command(command)
        try:
            return read(stdout), code
        except ValueError:
            self.module.fail_json(
                msg="%s says nothing that can be read: %s" % (self.executable, stderr.strip() or "no message"),
                rc=code,
            )

    def fail(self, said, code, **more):
        """Ends the module with the error in an object of the program."""
        error = said.get("error") or {}
        message = error.get("message") or "bootbank ended with exit code %d" % code
        if error.get("hint"):
            message += " (%s)" % error["hint"]
        self.module.fail_json(msg=message, rc=code, **more)


def change(module, command, targets):
    """Carries out a command that changes a medium; C(command) and C(targets) are its arguments before and after
    the options. Ends the module."""
    program = Program(module)
    options = ["--no-input"]
    if module.params["confirm"]:
        options.append("--yes")
    result = dict(changed=False)
    if module._diff:
        result["diff"] = dict(prepared=program.text(command + ["-n", "--diff", "--quiet"] + options + targets)[0])
    if module.params["dest"]:
        said, code, differs = _copy(program, command + options, targets)
    else:
        if module.check_mode:
            options.append("--dry-run")
        elif module.params["undo_file"]:
            options += ["--undo-file", module.params["undo_file"]]
        said, code = program.object(command + options + targets)
        differs = said.get("outcome") in ("changed", "would-change", "partial")
    result.update(changed=differs, change=said, undo_file=said.get("undo"))
    if code != DONE:
        program.fail(said, code, **result)
    for warning in said.get("warnings") or []:
        module.warn(warning)
    module.exit_json(**result)


def _copy(program, command, targets):
    """Makes a changed copy beside its place, and puts it there if it differs from what is there."""
    module, dest = program.module, program.module.params["dest"]
    directory = os.path.dirname(os.path.abspath(dest))
    if not os.path.isdir(directory):
        module.fail_json(msg="the directory %s for the copy is not there" % directory)
    beside = tempfile.mkdtemp(prefix=".bootbank-", dir=directory)
    try:
        # What a name ends in says how the copy is packed.
        made = os.path.join(beside, os.path.basename(dest))
        said, code = program.object(command + ["--output", made] + targets)
        differs = code == DONE and not (os.path.isfile(dest) and filecmp.cmp(made, dest, shallow=False))
        if differs and not module.check_mode:
            module.atomic_move(made, dest)
    finally:
        shutil.rmtree(beside)
    if said.get("output"):
        said["output"] = dest
    return said, code, differs
