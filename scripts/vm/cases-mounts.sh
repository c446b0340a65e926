# shellcheck shell=bash
# The kernel's vfat as judge of a changed bank, and as one who has it mounted. $code is set by `run`.

case_the_kernel_reads_the_intended_state_after_fix_and_every_other_file_as_before() {
  local disk number
  disk=$(use stick)
  note_all stick "$disk"
  both_hold stick "$disk" old
  run fix -y -z /undo/x "$disk"
  exits 0
  # Without dropping caches: what the kernel has cached of the disk must not hide the change.
  both_hold stick "$disk" new
  for number in 5 6; do
    fsck.fat -n "$disk$number" || fail "fsck.fat is not content with bank $number"
  done
  run undo /undo/x
  exits 0
  both_hold stick "$disk" old
  unchanged "$disk" stick "after undo"
}

# refused_while_mounted OPTIONS
refused_while_mounted() {
  local disk before
  disk=$(use plain)
  mkdir -p "/mnt/the bank"
  mount -t vfat -o "$1" "${disk}5" "/mnt/the bank"
  sync
  before=$(digest "$disk")
  run fix -y -z /undo/x "$disk"
  exits 3
  says "${disk}5 is mounted at /mnt/the bank"
  says "umount ${disk}5"
  [[ ! -e /undo/x ]] || fail "an undo file was made"
  [[ $(digest "$disk") == "$before" ]] || fail "the disk was changed"
  # To look is allowed.
  run verify "$disk"
  exits 0
  umount "/mnt/the bank"
  run fix -y -z /undo/x "$disk"
  exits 0
}

case_a_bank_mounted_for_reading_is_refused_and_its_mount_point_named() {
  refused_while_mounted ro
}

case_a_bank_mounted_for_writing_is_refused_and_its_mount_point_named() {
  refused_while_mounted rw
}

case_a_write_through_a_mount_before_fix_is_not_lost() {
  local disk
  disk=$(use plain)
  mkdir -p /mnt/bank
  mount -t vfat "${disk}5" /mnt/bank
  echo something >/mnt/bank/note.txt
  umount /mnt/bank
  run fix -y -z /undo/x "$disk"
  exits 0
  mount -t vfat -o ro "${disk}5" /mnt/bank
  [[ $(</mnt/bank/note.txt) == something ]] || fail "the file is not what was written"
  umount /mnt/bank
  fsck.fat -n "${disk}5" || fail "fsck.fat is not content"
}

case_undo_after_the_kernel_made_a_folder_brings_the_old_state_back_and_keeps_the_folder() {
  local disk
  disk=$(use plain)
  note_all plain "$disk"
  run fix -y -z /undo/x "$disk"
  exits 0
  mkdir -p /mnt/bank
  mount -t vfat "${disk}5" /mnt/bank
  mkdir "/mnt/bank/System Volume Information"
  echo "a desktop was here" >"/mnt/bank/System Volume Information/x"
  umount /mnt/bank
  run undo /undo/x "$disk"
  exits 0
  mount -t vfat -o ro "${disk}5" /mnt/bank
  [[ $(<"/mnt/bank/System Volume Information/x") == "a desktop was here" ]] || fail "the folder was not kept"
  # Without the folder, the bank as it was.
  others_on /mnt/bank | grep -v "System Volume Information" >/tmp/others
  cmp -s /tmp/others /tmp/expect/plain/5/others || fail "other files changed"
  conf_in /mnt/bank/state.tgz | cmp -s - /tmp/expect/plain/5/state.tgz.old || fail "state.tgz is not the old one"
  conf_in /mnt/bank/local.tgz | cmp -s - /tmp/expect/plain/5/local.tgz.old || fail "local.tgz is not the old one"
  umount /mnt/bank
  [[ $(holds plain 6 "${disk}6") == old ]] || fail "bank 6 is not as before"
  fsck.fat -n "${disk}5" || fail "fsck.fat is not content"
}
