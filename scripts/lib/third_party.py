#!/usr/bin/env python3
"""Writes the licences of everything that is inside the static program, with their texts.

    scripts/lib/third_party.py TARGET >FILE

TARGET is the triple it is built for. Their licences allow the program to be passed on if these texts go with it. The
crates are those that `cargo tree` says are compiled in. A crate whose package has no text of its licence is named
with its licence and address; one with no licence at all is an error.
"""

import json
import subprocess
import sys
from pathlib import Path

# What is compiled in and is no crate.
OTHERS = [
    ("The Rust standard library", "MIT OR Apache-2.0", "https://github.com/rust-lang/rust"),
    ("musl", "MIT", "https://musl.libc.org/"),
    ("SQLite", "public domain", "https://sqlite.org/copyright.html"),
]
# The MIT licence, which the first two are under.
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
NOTICES = ["Copyright (c) The Rust Project Contributors", "Copyright (c) 2005-2020 Rich Felker, et al."]
# How files with licences begin their names, in capitals. The Apache licence is one text for all: it is left out where
# another may be chosen.
NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def said(*command):
    return subprocess.run(["cargo", *command, "--locked"], check=True, capture_output=True, text=True).stdout


def compiled_in(target):
    """The packages that are linked into the program: no build scripts, macros or tests."""
    tree = ["tree", "-e", "normal,no-proc-macro", "--target", target, "--prefix", "none", "--format", "{p}"]
    inside = {tuple(line.split()[:2]) for line in said(*tree).splitlines()}
    packages = json.loads(said("metadata", "--format-version", "1"))["packages"]
    found = [it for it in packages if it["source"] and (it["name"], f"v{it['version']}") in inside]
    return sorted(found, key=lambda it: (it["name"], it["version"]))


def texts(package):
    """The texts of its licence, as far as they have to go with the program."""
    home = Path(package["manifest_path"]).parent
    found = [path for path in home.rglob("*") if path.is_file() and path.name.upper().startswith(NAMES)]
    found = sorted(path for path in found if path.suffix in ("", ".md", ".txt", ".mit", ".MIT") or "LICENSE" in path.name)
    choice = " OR " in package["license"] or "/" in package["license"]
    if choice and any("APACHE" not in path.name.upper() for path in found):
        found = [path for path in found if "APACHE" not in path.name.upper()]
    read = (path.read_text(errors="replace").strip() for path in found)
    # zstd may be had under the GPL as well.
    return [text for text in read if "GPL" in package["license"] or "GNU GENERAL PUBLIC" not in text]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    crates = compiled_in(sys.argv[1])
    by_text, lines, wrong = {}, [], []
    for (name, _, _), notice in zip(OTHERS, NOTICES):
        by_text[f"{notice}\n\n{MIT}"] = [name]
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        if not crate["license"]:
            wrong.append(name)
            continue
        lines.append(f"{name}: {crate['license']}, {crate['repository'] or 'https://crates.io/crates/' + crate['name']}")
        for text in texts(crate):
            by_text.setdefault(text, []).append(name)
    if wrong:
        sys.exit(f"third_party: no licence: {', '.join(wrong)}")
    print("The program bootbank has in it:\n")
    for name, licence, address in OTHERS:
        print(f"{name}: {licence}, {address}")
    print("\n".join(lines))
    for text, names in sorted(by_text.items(), key=lambda it: it[1]):
        print(f"\n{'-' * 78}\n{', '.join(sorted(set(names)))}\n\n{text}")


main()
