# shellcheck shell=bash
# Where cargo puts what it builds, and the scripts what they make of it, from the root of the repository. Sourced.
# shellcheck disable=SC2034
build_dir=${CARGO_TARGET_DIR:-target}
