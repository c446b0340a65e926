# shellcheck shell=bash disable=SC2154 # stopped is set by start_and_stop
# Kinds of disks, and who may change them. $code is set by `run`.

case_a_disk_of_4096_byte_sectors_is_shown_changed_and_undone() {
  local disk number
  disk=$(use fourk)
  note_all fourk "$disk"
  run info --json "$disk"
  exits 0
  grep -q '"sector_size":4096' /tmp/out || fail "the sectors are not 4096 bytes: $(</tmp/out)"
  run fix -y -z /undo/x "$disk"
  exits 0
  both_hold fourk "$disk" new
  for number in 5 6; do
    fsck.fat -n "$disk$number" || fail "fsck.fat is not content with bank $number"
  done
  run undo /undo/x "$disk"
  exits 0
  unchanged "$disk" fourk "after undo"
}

case_a_write_protected_stick_is_refused_before_anything_is_planned() {
  local disk
  disk=$(use protected)
  [[ $(<"/sys/block/${disk#/dev/}/ro") == 1 ]] || skip "the kernel does not see the write protection"
  run fix -y -z /undo/x "$disk"
  exits 3
  says "the device is write-protected"
  says "write-protect switch"
  [[ ! -s /tmp/out ]] || fail "something was planned: $(</tmp/out)"
  [[ ! -e /undo/x ]] || fail "an undo file was made"
  run fix -o /tmp/copy.img "$disk"
  exits 0
  run verify /tmp/copy.img
  exits 0
  rm /tmp/copy.img
}

case_info_says_what_the_kernel_believes_of_each_write_cache() {
  local name disk mode
  for name in stick plain fourk; do
    disk=$(disk_of "$name")
    mode=$(<"/sys/block/${disk#/dev/}/queue/write_cache")
    run info -v "$disk"
    exits 0
    grep -qF "write cache: $mode" /tmp/out || fail "$name is $mode; info says otherwise: $(head -n 3 /tmp/out)"
    run info --json "$disk"
    grep -qF "\"write_cache\":\"$mode\"" /tmp/out || fail "$name is $mode; the JSON says otherwise"
    echo "$mode" >>/tmp/modes
  done
  [[ $(sort -u /tmp/modes | wc -l) == 2 ]] || fail "only one mode was seen"
}

case_the_program_says_it_is_confined_by_landlock() {
  local disk
  disk=$(use plain)
  run -v fix -y -z /undo/x "$disk"
  exits 0
  says "confined by Landlock"
  says "it can write only $disk, /undo"
  run -v info "$disk"
  says "confined by Landlock"
  says "it can write nothing"
  start_and_stop pwrite64 1 undo /undo/x "$disk"
  grep -q '^NoNewPrivs:.1' "/proc/$stopped/status" || fail "could gain rights"
  go_on
  exits 0
  unchanged "$disk" plain "after undo"
}

# Runs the program as an ordinary user without capabilities: as_user GROUPS ARGUMENTS...
as_user() {
  local groups=$1
  shift
  code=0
  setpriv --reuid 1000 --regid 1000 "$groups" --inh-caps=-all --bounding-set=-all \
    env XDG_STATE_HOME=/tmp/user timeout 120 bootbank "$@" >/tmp/out 2>/tmp/err || code=$?
  echo "bootbank $* as an ordinary user: exit code $code"
  cat /tmp/out /tmp/err
}

# The nodes of a disk as udev leaves them.
as_udev_has_them() {
  chown root:disk "$1"*
  chmod 0660 "$1"*
  mkdir -p /tmp/user
  chown 1000:1000 /tmp/user
}

case_an_ordinary_user_in_the_group_of_the_node_changes_and_undoes() {
  local disk undo
  disk=$(use plain)
  note_all plain "$disk"
  as_udev_has_them "$disk"
  as_user --groups=6 fix -y "$disk"
  exits 0
  both_hold plain "$disk" new
  undo=$(find /tmp/user -name '*.undo')
  as_user --groups=6 undo "$undo"
  exits 0
  unchanged "$disk" plain "after undo"
}

case_an_ordinary_user_outside_the_group_is_refused_with_the_way_to_get_the_right() {
  local disk
  disk=$(use plain)
  as_udev_has_them "$disk"
  as_user --clear-groups fix -y "$disk"
  exits 3
  says "no permission to write $disk"
  says "join the group \`disk\`"
  as_user --clear-groups info "$disk"
  exits 3
  says "no permission to read $disk"
  unchanged "$disk" plain "after the refusal"
}

# Digest of a partition as it is on the disk, whatever is cached: past_caches DISK NUMBER
past_caches() {
  local sys=/sys/block/${1#/dev/}/${1#/dev/}$2
  dd if="$1" iflag=direct bs=512 skip="$(<"$sys/start")" count="$(<"$sys/size")" 2>/dev/null | sha256sum
}

case_what_is_cached_of_a_partition_somebody_keeps_open_is_neither_lost_nor_stale() {
  local disk
  disk=$(use plain)
  note_all plain "$disk"
  as_udev_has_them "$disk"
  # Root reads the volume through the partition's node and keeps that open, which an ordinary user cannot see.
  keep_open "${disk}5"
  cat "${disk}5" >/dev/null
  as_user --groups=6 fix -y "$disk"
  exits 0
  [[ $(sha256sum <"${disk}5") == "$(past_caches "$disk" 5)" ]] || fail "what is cached of ${disk}5 is not what is on the disk"
  [[ $(holds plain 5 "${disk}5") == new ]] || fail "the kernel still reads the old state through ${disk}5"
}

case_what_was_written_through_a_partition_and_is_not_on_the_disk_yet_does_not_undo_the_change() {
  local disk
  disk=$(use plain)
  note_all plain "$disk"
  as_udev_has_them "$disk"
  keep_open "${disk}5"
  # The first FAT, written as it is: dirty in the cache of the partition's node only.
  dd if="${disk}5" of="${disk}5" bs=512 count=64 conv=notrunc 2>/dev/null
  as_user --groups=6 fix -y "$disk"
  exits 0
  sync
  kill $!
  run verify "$disk"
  exits 0
  both_hold plain "$disk" new
  fsck.fat -n "${disk}5" || fail "fsck.fat is not content"
}
