# shellcheck shell=bash disable=SC2154 # stopped is set by start_and_stop
# A stick that is pulled out between two steps, and plugged in again. $code is set by `run`.

gone() {
  ! disk_of "$1"
}

# The message of a run whose stick was pulled, and the way back once it is plugged in again.
pulled_as_claimed() {
  local held told
  told=$(words)
  exits 5
  says "bootbank undo /undo/x $disk"
  says "an unknown configuration"
  await disk_of pulled || fail "the stick does not come back"
  disk=$(disk_of pulled)
  await test -b "${disk}5" || fail "the stick comes back without partitions"
  held=$(holds pulled 5 "${disk}5")
  [[ $held == old || $held == new ]] || fail "the kernel reads bank 5 as $held"
  [[ $held == "$1" ]] || fail "the kernel reads bank 5 as $held, after this many writes $1 was expected"
  run undo /undo/x "$disk"
  exits 0
  [[ $(holds pulled 5 "${disk}5") == old ]] || fail "the kernel does not read the old state after undo"
  unchanged "$disk" pulled "after undo"
  [[ $told == *"disappeared while"* ]] || fail "undone, but it was not said that the stick disappeared: $told"
  [[ $told == *"connect it again"* ]] || fail "undone, but it was not said to connect the stick again: $told"
  [[ $told != *"--avoid"* ]] || fail "undone, but it was advised to pass over sectors of a stick that is gone: $told"
}

# A stick that the kernel lets go of after so many writes: let_go WRITES HELD
let_go() {
  local disk host
  disk=$(use pulled)
  note pulled "${disk}5" 5
  fix_and_stop "$1" "$disk"
  host=$(readlink -f "/sys/block/${disk#/dev/}/device" | grep -o 'host[0-9]*' | head -n 1)
  echo 1 >"/sys/block/${disk#/dev/}/device/delete"
  go_on
  echo "- - -" >"/sys/class/scsi_host/$host/scan"
  pulled_as_claimed "$2"
}

case_a_stick_let_go_of_before_the_switch_is_told_and_undone() {
  let_go 1 old
}

case_a_stick_let_go_of_after_the_switch_is_told_and_undone() {
  let_go 4 new
}

# The stick leaves its port, and comes back to it: pull WRITES HELD [WRITE-CACHE]
pull() {
  local disk
  disk=$(use pulled)
  [[ -z ${3:-} ]] || echo "$3" >"/sys/block/${disk#/dev/}/queue/write_cache"
  note pulled "${disk}5" 5
  fix_and_stop "$1" "$disk"
  pull_out
  await gone pulled || fail "the stick stays"
  go_on
  plug_in
  pulled_as_claimed "$2"
}

case_a_stick_pulled_out_before_the_switch_is_told_and_undone() {
  pull 3 old
}

case_a_stick_pulled_out_after_the_switch_is_told_and_undone() {
  pull 4 new
}

case_a_stick_pulled_out_before_the_last_write_is_told_and_undone() {
  pull 5 new
}

case_a_stick_that_is_sent_no_flush_and_pulled_out_is_told_and_undone() {
  pull 4 new "write through"
}

case_a_stick_pulled_out_while_it_is_read_is_told_and_nothing_is_written() {
  local disk told
  disk=$(use pulled)
  # The calls before are the program's own; by now the FAT is about to be read.
  start_and_stop pread64 10 fix -y -z /undo/x "$disk"
  pull_out
  await gone pulled || fail "the stick stays"
  go_on
  told=$(words)
  exits 5
  [[ ! -e /undo/x ]] || fail "an undo file was made"
  plug_in
  await disk_of pulled || fail "the stick does not come back"
  unchanged "$(disk_of pulled)" pulled "after the failed run"
  [[ $told == *"disappeared while"*"connect it again"* ]] ||
    fail "nothing was changed, but it was not said that the stick disappeared, and what to do: $told"
}

case_an_undo_that_pulling_the_stick_out_cut_goes_on_when_run_again() {
  local disk
  disk=$(use pulled)
  run fix -y -z /undo/x "$disk"
  exits 0
  start_and_stop pwrite64 3 undo /undo/x "$disk"
  pull_out
  await gone pulled || fail "the stick stays"
  go_on
  exits 5
  says "run the same undo again"
  plug_in
  await disk_of pulled || fail "the stick does not come back"
  disk=$(disk_of pulled)
  run undo /undo/x "$disk"
  exits 0
  unchanged "$disk" pulled "after undo"
}
