# shellcheck shell=bash
# A disk that fails or forgets writes in exactly one place, by way of device-mapper, and one that
# dies between two steps. $code is set by `run`.

# First sector and number of sectors of a step on bank 5: region DISK PHASE [WHICH]
region() {
  bootbank -v fix -n "$1" 2>&1 |
    sed -n "s/^  partition 5: $2 (\([0-9]*\) sectors* from \([0-9]*\)).*/\2 \1/p" | sed -n "${3:-1}p"
}

# The table of a disk in which some sectors are of another target:
# holed DISK FIRST COUNT TARGET, in which @ stands for the disk and the first sector
holed() {
  local end=$(($2 + $3)) all
  all=$(blockdev --getsz "$1")
  echo "0 $2 linear $1 0"
  echo "$2 $3 ${4/@/$1 $2}"
  echo "$end $((all - end)) linear $1 $end"
}

healthy() {
  echo "0 $(blockdev --getsz "$1") linear $1 0"
}

# What the message says of each bank is what the kernel reads of it: as_told DISK BELOW
as_told() {
  local number held told
  for number in 5 6; do
    [[ -e /tmp/expect/plain/$number/state.tgz.old ]] || continue
    held=$(holds plain "$number" "$(partition_of "$1" "$number" "$2")")
    told=$(grep -o "bank on partition $number holds [^;]*" /tmp/err | head -n 1) || true
    echo "bank $number: the kernel reads $held; $told"
    case $told in
      *"the old configuration") [[ $held == old ]] ;;
      *"the new configuration") [[ $held == new ]] ;;
      *"the new configuration in some files and the old one in others"*) [[ $held == mixed ]] ;;
      *"an unknown configuration"*) [[ $held == old || $held == new || $held == mixed ]] ;;
      *) false ;;
    esac || fail "told: '$told'; the kernel reads bank $number as $held"
    [[ ! -e /dev/mapper/look$number ]] || unmap "look$number"
  done
}

# Exit code 5, the banks as told, the undo file named; on the healed disk it restores every byte:
# fails_as_claimed DISK
fails_as_claimed() {
  local disk=$1
  exits 5
  says "bootbank undo /undo/x /dev/mapper/failing"
  remap failing "$(healthy "$disk")"
  as_told /dev/mapper/failing "$disk"
  run undo /undo/x /dev/mapper/failing
  exits 0
  unmap failing
  both_hold plain "$disk" old
  unchanged "$disk" plain "after undo"
}

# A run on a disk with a hole in the place of a step: fix_with_hole PHASE TARGET [WHICH]
fix_with_hole() {
  local where
  disk=$(use plain)
  note_all plain "$disk"
  read -r -a where <<<"$(region "$disk" "$1" "${3:-1}")"
  ((${#where[@]} == 2)) || fail "the plan has no step $1"
  map failing "$(holed "$disk" "${where[0]}" 1 "$2")"
  run fix -y -z /undo/x /dev/mapper/failing
}

errors="flakey @ 0 60 1 error_writes"
drops="flakey @ 0 60 1 drop_writes"

case_a_write_that_fails_in_free_clusters_leaves_what_is_told_and_is_undone() {
  local disk
  fix_with_hole data "$errors"
  says "(data) failed on partition 5: write"
  fails_as_claimed "$disk"
}

case_a_write_that_fails_in_the_fat_leaves_what_is_told_and_is_undone() {
  local disk
  fix_with_hole allocate "$errors"
  says "(allocate) failed on partition 5: write"
  fails_as_claimed "$disk"
}

case_a_write_that_fails_in_the_directory_leaves_what_is_told_and_is_undone() {
  local disk
  fix_with_hole switch "$errors" 1
  says "(switch) failed on partition 5: write"
  fails_as_claimed "$disk"
}

case_a_write_that_fails_in_the_last_directory_sector_leaves_what_is_told_and_is_undone() {
  local disk
  fix_with_hole switch "$errors" 2
  says "(switch) failed on partition 5: write"
  fails_as_claimed "$disk"
}

case_a_write_that_is_dropped_in_free_clusters_is_noticed() {
  local disk
  fix_with_hole data "$drops"
  says "the medium did not keep what was written"
  fails_as_claimed "$disk"
}

case_a_write_that_is_dropped_in_the_fat_is_noticed() {
  local disk
  fix_with_hole allocate "$drops"
  says "the medium did not keep what was written"
  fails_as_claimed "$disk"
}

case_a_write_that_is_dropped_in_the_directory_is_noticed() {
  local disk
  fix_with_hole switch "$drops" 1
  says "the medium did not keep what was written"
  fails_as_claimed "$disk"
}

case_a_write_that_is_dropped_in_the_last_directory_sector_is_noticed() {
  local disk
  fix_with_hole switch "$drops" 2
  says "the medium did not keep what was written"
  fails_as_claimed "$disk"
}

case_a_fat_that_cannot_be_read_ends_the_run_before_anything_is_written() {
  local disk
  fix_with_hole allocate error
  exits 5
  [[ ! -e /undo/x ]] || fail "an undo file was made"
  unmap failing
  unchanged "$disk" plain "after the failed run"
}

case_free_clusters_that_cannot_be_read_are_passed_over() {
  local disk
  fix_with_hole data error
  exits 0
  unmap failing
  both_hold plain "$disk" new
  fsck.fat -n "${disk}5" || fail "fsck.fat is not content"
  run undo /undo/x "$disk"
  exits 0
  unchanged "$disk" plain "after undo"
}

# From the stop after a write on, every operation on the disk or its FAT ends as TARGET has it:
# changed_between WRITES FIRST COUNT TARGET
changed_between() {
  map failing "$(healthy "$disk")"
  fix_and_stop "$1" /dev/mapper/failing
  remap failing "$(holed "$disk" "$2" "$3" "$4")"
  go_on
}

# The old clusters of bank 5 stay allocated, by way of TARGET: not_freed TARGET
not_freed() {
  local disk where writes
  disk=$(use plain)
  note_all plain "$disk"
  read -r -a where <<<"$(region "$disk" release)"
  # The release of bank 5 ends with the two copies of its FAT: fail these, and nothing before.
  map failing "$(healthy "$disk")"
  strace -f -qq -o /tmp/trace -e trace=pwrite64 bootbank fix -y -z /undo/count /dev/mapper/failing
  # One is that of the undo file.
  writes=$(($(grep -c 'pwrite64(' /tmp/trace) - 1))
  run undo /undo/count /dev/mapper/failing
  exits 0
  unmap failing
  changed_between $((writes - 2)) "${where[0]}" 1 "$1"
  exits 0
  says "the change was made, but not all old clusters could be freed"
  says "bootbank reclaim"
  unmap failing
  both_hold plain "$disk" new
  run reclaim -y -z /undo/y "$disk"
  exits 0
  both_hold plain "$disk" new
  fsck.fat -n "${disk}5" || fail "fsck.fat is not content after reclaim"
  run undo /undo/y "$disk"
  exits 0
  run undo /undo/x "$disk"
  exits 0
  unchanged "$disk" plain "after undo"
}

case_old_clusters_that_cannot_be_freed_are_a_warning_and_the_new_state_is_in_effect() {
  not_freed "$errors"
}

case_old_clusters_that_seem_to_be_freed_are_a_warning_and_the_new_state_is_in_effect() {
  not_freed "$drops"
}

case_a_disk_that_dies_between_two_steps_cannot_be_told_and_is_undone_when_it_is_back() {
  local disk writes
  disk=$(use plain)
  note_all plain "$disk"
  for writes in 1 4 9; do
    map failing "$(healthy "$disk")"
    fix_and_stop "$writes" /dev/mapper/failing
    remap failing "0 $(blockdev --getsz "$disk") error"
    go_on
    says "an unknown configuration"
    fails_as_claimed "$disk"
    rm /undo/x
  done
}
