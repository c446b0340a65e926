# shellcheck shell=bash
# What scripts/bench.sh has the machine measure: one repair with bootbank, and with a mount.

# Reports seconds on the clock, of user mode and of the kernel: timed NAME COMMAND...
timed() {
  local name=$1 TIMEFORMAT='%R %U %S'
  shift
  { time "$@" >/tmp/log 2>&1; } 2>/tmp/time || {
    say "failed $name: $(tail -n 3 /tmp/log)"
    return 1
  }
  say "measured $name $(tail -n 1 /tmp/time)"
}

by_mount() {
  local number
  mkdir -p /mnt/bank /tmp/state
  for number in 5 6; do
    mount -t vfat "$1$number" /mnt/bank
    cp /mnt/bank/state.tgz /tmp/state/state.tgz
    /vm/edit-state /tmp/state/state.tgz
    cp /tmp/state/state.tgz /mnt/bank/state.tgz
    sync
    umount /mnt/bank
  done
}

# The disk as it was, and nothing of it cached.
put_right() {
  zcat /images/esxi67-usb-passthru.img.gz | dd of="$1" bs=1M conv=fsync,notrunc iflag=fullblock 2>/dev/null
  blockdev --flushbufs "$1"
  echo 3 >/proc/sys/vm/drop_caches
}

measure_all() {
  local disk turn
  disk=$(disk_of stick)
  note_all stick "$disk"
  for turn in 1 2 3 4 5; do
    put_right "$disk"
    timed bootbank bootbank -q fix -y -z "/tmp/$turn.undo" "$disk" || return
    both_hold stick "$disk" new
    put_right "$disk"
    timed mount by_mount "$disk" || return
    both_hold stick "$disk" new
  done
  say "measured all"
}

run_measure() {
  (
    set -eEuo pipefail
    : >/tmp/why
    measure_all
  ) || say "failed: $(tr -s '\n' ' ' </tmp/why)"
}
