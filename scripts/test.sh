#!/usr/bin/env bash
# Runs the tests, on a machine with cargo. scripts/vm-test, test-packages and test-ansible are apart.
#
#   scripts/test.sh [--long]
#
# The tests judge what the program wrote with ordinary tools. Missing ones are
# installed when this runs as root on Debian; anyone else is told what to install.
# --long also runs the tests that take minutes (BOOTBANK_LONG=1).
set -euo pipefail

cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"

while (($#)); do
  case $1 in
    --long) export BOOTBANK_LONG=1 ;;
    *)
      sed -n '2,8s/^# \?//p' "$0" >&2
      exit 2
      ;;
  esac
  shift
done

# Command, and the Debian package that has it.
needed=(
  sgdisk:gdisk sfdisk:fdisk fdisk:fdisk mkfs.fat:dosfstools fsck.fat:dosfstools mcopy:mtools tar:tar busybox:busybox
  gzip:gzip zstd:zstd xz:xz-utils make:make openssl:openssl sqlite3:sqlite3 python3:python3
  mke2fs:e2fsprogs script:bsdutils setpriv:util-linux strace:strace tmux:tmux curl:curl jq:jq parallel:parallel
  qemu-nbd:qemu-utils qemu-img:qemu-utils setfacl:acl getfacl:acl
)

# An interpreter that can import `cryptography`, `jsonschema` and `yaml`: the python3 first on PATH need not be Debian's.
find_python() {
  local candidate
  for candidate in "${BOOTBANK_PYTHON:-}" python3 /usr/bin/python3; do
    if [[ -n $candidate ]] && command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import jsonschema, yaml; from cryptography.hazmat.primitives.ciphers.aead import AESGCM' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

missing_packages() {
  local pair
  {
    for pair in "${needed[@]}"; do
      command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
    done
    find_python >/dev/null || echo python3-cryptography python3-jsonschema python3-yaml
  } | sort -u | tr '\n' ' '
}

missing=$(missing_packages)
if ((EUID == 0)) && command -v apt-get >/dev/null && ! python3 -m pip --version >/dev/null 2>&1; then
  # Only for the real state, which is optional.
  missing+="python3-pip"
fi
if [[ -n $missing ]]; then
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "test.sh: missing: $missing" >&2
    echo "test.sh: on Debian: sudo apt-get install --no-install-recommends $missing" >&2
    exit 1
  fi
  echo "test.sh: installing: $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of words
  apt-get install -qq -y --no-install-recommends $missing
  missing=$(missing_packages)
  if [[ -n $missing ]]; then
    echo "test.sh: still missing after installing: $missing" >&2
    exit 1
  fi
fi
command -v cargo >/dev/null || {
  echo "test.sh: cargo is missing; see https://rustup.rs" >&2
  exit 1
}

BOOTBANK_PYTHON=$(find_python)
export BOOTBANK_PYTHON
echo "test.sh: python is $BOOTBANK_PYTHON"

real=target/real-state
if scripts/fetch-real-state "$real"; then
  BOOTBANK_REAL_STATE=$PWD/$real
  export BOOTBANK_REAL_STATE
else
  code=$?
  ((code == 75)) || exit "$code"
  echo "test.sh: skipped: tests with a real 7.0.2 state, which could not be fetched"
fi
if ((EUID == 0)); then
  # Permissions do not bind root; such tests skip themselves and say so.
  echo "test.sh: running as root: tests of what an ordinary user may not do are skipped; run this as an ordinary user for them"
fi

# Other releases of the tools may make other bytes of the same content; that is no fault of the program.
scripts/make-testimages --check ||
  echo "test.sh: note: the tools here do not make the bundled images byte for byte (they were made on Debian 12)"
# What a test leaves out, a line for each time.
BOOTBANK_SKIPPED=$PWD/target/skipped-tests
export BOOTBANK_SKIPPED
: >"$BOOTBANK_SKIPPED"
cargo check --locked --no-default-features --lib
cargo test --locked --all-features
if [[ -n ${BOOTBANK_LONG:-} ]]; then
  # Other code is generated, and other checks are left out, in what people run.
  cargo test --locked --release --test hostile no_edit
fi
if [[ -s $BOOTBANK_SKIPPED ]]; then
  echo "test.sh: left out, in whole or in part, for what this machine does not allow:"
  sort -u "$BOOTBANK_SKIPPED" | sed 's/^/  /'
fi
echo "test.sh: all tests passed"
