#!/usr/bin/env bash
# Measures the program and writes docs/performance.md: ratios to other ways, growth, memory, instructions.
#
#   scripts/bench.sh [--quick] [--vm] [--guestfish] [--binary PATH] [--tmpfs DIR] [--disk DIR] [--out FILE]
#
# --quick makes few turns and short axes: it shows that everything works, not how fast it is.
# --vm also measures a mount by a kernel's vfat, in a virtual machine (QEMU; fetches a Debian kernel, takes minutes).
# --guestfish also measures guestfish, and installs it where it is missing (QEMU, the same kernel, takes minutes).
# --binary is the program; without it the static program is built, which is what is handed out. --tmpfs and --disk
# are folders to measure in (default: /dev/shm, and target/); 3 GiB must be free in each.
# Once all is built the full run takes about 20 minutes on two cores. Nothing else should run meanwhile.
# Missing tools are installed when this runs as root on Debian; dissect comes from the Python package index.
# Whatever this leaves out, and why, is on the page. On Ctrl-C it removes its files, and the page stays as it was.
set -euo pipefail

cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
. scripts/lib/build-dir.sh
. scripts/lib/debian.sh
. scripts/lib/modules.sh

usage() {
  sed -n '2,14s/^# \?//p' "$0" >&2
  exit 2
}

quick='' vm='' guestfish='' bootbank='' fast=/dev/shm target=$build_dir out=docs/performance.md
disk=$target
while (($#)); do
  case $1 in
    --quick) quick=1 ;;
    --vm) vm=1 ;;
    --guestfish) guestfish=1 ;;
    --binary | --tmpfs | --disk | --out)
      (($# > 1)) || usage
      case $1 in --binary) bootbank=$2 ;; --tmpfs) fast=$2 ;; --disk) disk=$2 ;; --out) out=$2 ;; esac
      shift
      ;;
    *) usage ;;
  esac
  shift
done

needed=(
  hyperfine:hyperfine /usr/bin/time:time valgrind:valgrind strace:strace mcopy:mtools mkfs.fat:dosfstools sfdisk:fdisk
  sgdisk:gdisk tar:tar gzip:gzip sqlite3:sqlite3 python3:python3 jq:jq
)
[[ -z $vm ]] || needed+=(qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio dmsetup:dmsetup mdadm:mdadm
  fsck.fat:dosfstools setpriv:util-linux depmod:kmod xz:xz-utils zstd:zstd)
[[ -z $guestfish ]] || needed+=(guestfish:libguestfs-tools depmod:kmod)
need "${needed[@]}"

folders=() measuring='' machine_pid='' made_modules=''
# shellcheck disable=SC2317 # the trap calls it
tidy() {
  if [[ -n $measuring ]]; then
    # It and all that it started.
    kill -TERM -- "-$measuring" 2>/dev/null || true
    wait "$measuring" 2>/dev/null || true
    # bootbank ends in its own way; its files are removed once it has.
    local tries=50
    while kill -0 -- "-$measuring" 2>/dev/null && ((tries-- > 0)); do sleep 0.1; done
    kill -KILL -- "-$measuring" 2>/dev/null || true
  fi
  if [[ -n $machine_pid ]]; then
    kill -KILL "$machine_pid" 2>/dev/null || true
    wait "$machine_pid" 2>/dev/null || true
  fi
  [[ -z $made_modules ]] || rmdir /lib/modules 2>/dev/null || true
  ((${#folders[@]} == 0)) || rm -rf "${folders[@]}"
  rm -f "$out.partial"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Makes a folder that is removed at the end, and says where: sets $made.
make_folder() {
  mkdir -p "$1"
  made=$(mktemp -d "$(realpath "$1")/bootbank-bench.XXXXXX")
  folders+=("$made")
}

options=()
leave_out() {
  options+=(--left-out "$1")
  echo "bench.sh: left out: $1" >&2
}

make_folder "$disk"
disk=$made
if [[ $(stat -f -c %T "$disk") == tmpfs ]]; then
  echo "bench.sh: ${disk%/*} is no disk but tmpfs; name a folder on one: --disk DIR" >&2
  exit 1
fi
if [[ -d $fast && -w $fast && $(stat -f -c %T "$fast") == tmpfs ]] &&
  (($(stat -f -c '%a * %S' "$fast") >= 3 << 30)); then
  make_folder "$fast"
  fast=$made
  work=$fast
else
  leave_out "tmpfs: no tmpfs with 3 GiB free at $fast (--tmpfs DIR names another); all of it was measured on a disk"
  fast=
  work=$disk
fi
make_folder "$work"
work=$made

built='built by hand'
if [[ -z $bootbank ]]; then
  built='the static program'
  bootbank=$target/dist/bootbank-$(uname -m)
  scripts/build-static -o "$bootbank"
fi
bootbank=$(realpath -e "$bootbank")
# The name of a bench program has a hash in it: cargo says it.
floor=$(cargo build --locked --release --bench floor --message-format=json-render-diagnostics |
  jq -r 'select(.target.name == "floor") | .executable // empty')

venv=$target/tools/dissect-3.25.1
if [[ ! -x $venv/bin/python ]]; then
  echo "bench.sh: installing dissect.target" >&2
  if ((EUID == 0)) && ! python3 -c 'import ensurepip' 2>/dev/null; then
    need_packages python3-venv
  fi
  # Half of it is none of it.
  rm -rf "$venv" "$venv.part"
  if python3 -m venv "$venv.part" && "$venv.part/bin/pip" install -q dissect.target==3.25.1 dissect.fat==3.13; then
    mv "$venv.part" "$venv"
  fi
  rm -rf "$venv.part"
fi
if [[ -x $venv/bin/python ]] && "$venv/bin/python" -c 'import dissect.target, dissect.fat'; then
  options+=(--dissect "$(realpath "$venv")/bin/python")
else
  leave_out "dissect: it cannot be installed from the Python package index here"
fi

# A kernel, for those who start a machine.
kernel=''
if [[ -n $vm || -n $guestfish ]]; then
  mkdir -p "$target/vm"
  kernel=$(unpacked_kernel "$(realpath "$target/vm")") || kernel=''
fi

# Has the machine of scripts/vm measure both ways; leaves what it reported in $work/measure.report.
measure_in_machine() {
  local cases=() results=$work/results drives=()
  # shellcheck source-path=SCRIPTDIR source=vm/machine.sh
  source scripts/vm/machine.sh
  scripts/vm/make-initramfs "$work/initramfs" "$kernel" "$bootbank"
  make_disk stick esxi67-usb-passthru
  backing stick
  start_machine measure measure "${drives[@]}" \
    -device virtio-scsi-pci,id=scsi -device scsi-hd,bus=scsi.0,drive=stick,serial=stick,write-cache=on
  await_line measure 'measured all' "$guest_limit" || {
    end_machine
    cat "$work/measure.report" >&2
    tail -n 20 "$work/measure.console" >&2
    return 1
  }
  end_machine
  rm "$work/initramfs" "$work/stick.img"
}

if [[ -z $vm ]]; then
  leave_out "a mount by the kernel: asked for with \`--vm\`"
elif [[ -z $kernel ]]; then
  leave_out "a mount by the kernel: no Debian kernel can be fetched here"
else
  echo "bench.sh: a mount by the kernel, in a virtual machine"
  measure_in_machine
  options+=(--machine-report "$work/measure.report")
fi

# guestfish makes its own machine, from a kernel in /boot and modules in /lib/modules. Where there are none it gets ours.
lend_kernel() {
  local version
  version=$(basename "$(modules_of "$kernel")")
  mkdir -p "$disk/kernel/lib/modules"
  cp -r "$(modules_of "$kernel")" "$disk/kernel/lib/modules/"
  depmod -b "$disk/kernel" "$version"
  SUPERMIN_KERNEL=$(find "$kernel/boot" -name 'vmlinuz-*')
  SUPERMIN_MODULES=$disk/kernel/lib/modules/$version
  export SUPERMIN_KERNEL SUPERMIN_MODULES
  # It takes the folder's permissions from there.
  [[ -d /lib/modules ]] || { mkdir /lib/modules && made_modules=1; }
}

if [[ -z $guestfish ]]; then
  leave_out "guestfish: asked for with \`--guestfish\`"
else
  # It keeps its machine in a cache; ours goes with the rest.
  export LIBGUESTFS_CACHEDIR=$disk LIBGUESTFS_BACKEND=direct
  if ! compgen -G '/boot/vmlinuz-*' >/dev/null && [[ -n $kernel ]]; then
    lend_kernel || true
  fi
  options+=(--guestfish)
fi

[[ -z $quick ]] || options+=(--quick)
# A process group of its own, so that it can be ended with all that it started.
set -m
python3 scripts/benchlib/run.py --bootbank "$bootbank" --built "$built" --floor "$floor" --work "$work" --fast "$fast" --disk "$disk" \
  --out "$out" "${options[@]}" </dev/null &
measuring=$!
set +m
code=0
wait "$measuring" || code=$?
measuring=''
exit "$code"
