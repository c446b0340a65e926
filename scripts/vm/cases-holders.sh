# shellcheck shell=bash
# Drivers and programs that have taken a part of the disk: refused, named, and the line that frees
# it does so. $code is set by `run`.

# Refused with these words; the command it prints is run as it stands, and then the disk can be had:
# refused_until_freed DISK WORDS COMMAND
refused_until_freed() {
  local disk=$1 words=$2 command=$3
  run fix -y -z /undo/x "$disk"
  exits 3
  says "$words"
  says "$command"
  [[ ! -e /undo/x ]] || fail "an undo file was made"
  $command || fail "'$command' does not work"
  run fix -n "$disk"
  exits 0
  run fix -y -z /undo/x "$disk"
  exits 0
}

case_a_partition_taken_by_a_linear_mapping_is_refused_and_the_mapping_named() {
  local disk
  disk=$(use plain)
  map vg-root "0 64 linear ${disk}7 0"
  refused_until_freed "$disk" "${disk}7 is part of the device-mapper device vg-root" "dmsetup remove vg-root"
  unchanged_but_for_fix "$disk"
}

# The refusal changed nothing: undoing the change that was let through leaves every byte.
unchanged_but_for_fix() {
  run undo /undo/x
  exits 0
  unchanged "$1" plain "after undo"
}

case_a_partition_taken_by_an_encrypted_mapping_is_refused_and_the_mapping_named() {
  local disk key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
  disk=$(use plain)
  map secret "0 64 crypt aes-cbc-essiv:sha256 $key 0 ${disk}7 0" || map secret "0 64 crypt aes-xts-plain64 $key 0 ${disk}7 0" ||
    skip "this kernel cannot encrypt"
  refused_until_freed "$disk" "${disk}7 is part of the device-mapper device secret" "dmsetup remove secret"
}

case_a_mount_on_a_mapping_comes_before_the_mapping() {
  local disk
  disk=$(use plain)
  map bank "0 $(blockdev --getsz "${disk}5") linear ${disk}5 0"
  mkdir -p /mnt/bank
  mount -t vfat -o ro /dev/mapper/bank /mnt/bank
  run fix -y -z /undo/x "$disk"
  exits 3
  says "/dev/mapper/bank is mounted at /mnt/bank; ${disk}5 is part of the device-mapper device bank"
  says "umount /dev/mapper/bank; dmsetup remove bank"
  unchanged "$disk" plain "after the refusal"
}

case_a_partition_in_a_raid_is_refused_and_the_array_named() {
  local disk
  disk=$(use plain)
  mdadm -q --build /dev/md0 --level=linear --force --raid-devices=1 "${disk}7" </dev/null || skip "no RAID here"
  refused_until_freed "$disk" "${disk}7 is part of the RAID /dev/md0" "mdadm --stop /dev/md0"
  unchanged_but_for_fix "$disk"
}

case_a_partition_that_is_swapped_to_is_refused_and_named() {
  local disk before
  disk=$(use plain)
  mkswap "${disk}7"
  swapon "${disk}7" || skip "no swap here"
  before=$(digest "$disk")
  run fix -y -z /undo/x "$disk"
  exits 3
  says "holds the running system: ${disk}7"
  [[ $(digest "$disk") == "$before" ]] || fail "the disk was changed"
  swapoff "${disk}7"
  run fix -y -z /undo/x "$disk"
  exits 0
}

case_a_loop_device_on_a_partition_is_refused_and_named() {
  local disk
  disk=$(use plain)
  losetup /dev/loop0 "${disk}5"
  refused_until_freed "$disk" "${disk}5 is attached to /dev/loop0" "losetup -d /dev/loop0"
  unchanged_but_for_fix "$disk"
}

case_a_partition_that_is_open_in_a_program_is_refused_and_the_program_named() {
  local disk
  disk=$(use plain)
  keep_open "${disk}5"
  run fix -y -z /undo/x "$disk"
  exits 3
  says "it is open in process $! (sleep)"
  unchanged "$disk" plain "after the refusal"
}

case_the_disk_below_a_mapping_of_all_of_it_is_refused_while_the_mapping_itself_is_changed() {
  local disk
  disk=$(use plain)
  map whole "0 $(blockdev --getsz "$disk") linear $disk 0"
  run fix -y -z /undo/x "$disk"
  exits 3
  says "$disk is part of the device-mapper device whole"
  run fix -y -z /undo/x /dev/mapper/whole
  exits 0
  unmap whole
  note_nothing_lost "$disk"
}

# The change made through the mapping is on the disk, and can be taken back there.
note_nothing_lost() {
  run fix --check "$1"
  exits 0
  run undo /undo/x "$1"
  exits 0
  unchanged "$1" plain "after undo"
}
