#!/usr/bin/env python3
"""Says what the files of a release were built from, as an in-toto statement with SLSA provenance.

    scripts/lib/provenance.py VERSION FILE...

The commit, the lock file of the crates, and the tools with their versions are named. The statement is not signed: the
release workflow attests it, and whoever builds again compares bytes.
"""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path


def said(*command):
    """The first line of what a command says, or None where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def digest(path):
    with open(path, "rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def source():
    """Where the source comes from: the address of `origin` where it is a public one."""
    commit = said("git", "rev-parse", "HEAD")
    origin = said("git", "remote", "get-url", "origin") or ""
    it = {"name": "bootbank", "digest": {"gitCommit": commit}}
    if origin.startswith("https://") and "@" not in origin:
        it["uri"] = f"git+{origin}@{commit}"
    return it


def cargo_tools():
    """The subcommands of cargo that scripts/lib/cargo-tools.sh installed; not all of them say their version."""
    record = Path("target/tools/.crates.toml")
    names = tomllib.loads(record.read_text())["v1"] if record.exists() else {}
    return dict(name.split()[:2] for name in names)


def tools():
    """The programs that decide the bytes."""
    asked = {
        "rustc": ("rustc", "--version"),
        "cargo": ("cargo", "--version"),
        "musl-gcc": ("musl-gcc", "--version"),
        "ziglang": (sys.executable, "-m", "ziglang", "version"),
        "cargo-zigbuild": ("cargo-zigbuild", "--version"),
        "xorriso": ("xorriso", "-version"),
    }
    found = {name: said(*command) for name, command in asked.items()} | cargo_tools()
    return [{"name": name, "annotations": {"version": version}} for name, version in found.items() if version]


def builder():
    """The workflow run where there is one."""
    server, repository, run = (os.environ.get(f"GITHUB_{it}") for it in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    if server and repository and run:
        return {"id": f"{server}/{repository}/actions/runs/{run}"}
    return {"id": "urn:bootbank:release:by-hand"}


def main():
    version, *files = sys.argv[1:]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": os.path.basename(path), "digest": digest(path)} for path in sorted(files)],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:bootbank:release:1",
                "externalParameters": {"command": "scripts/release", "version": version},
                "internalParameters": {"SOURCE_DATE_EPOCH": os.environ["SOURCE_DATE_EPOCH"]},
                "resolvedDependencies": [
                    source(),
                    {"name": "Cargo.lock", "digest": digest("Cargo.lock")},
                    *tools(),
                ],
            },
            "runDetails": {"builder": builder()},
        },
    }
    json.dump(statement, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
