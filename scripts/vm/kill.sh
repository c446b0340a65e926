# shellcheck shell=bash disable=SC2154 # work, binary and machine_pid are those of scripts/vm-test
# The case that scripts/vm-test runs from outside: a machine killed while it changes a slow disk.
# QEMU writes through to the image, so a kill leaves what a power cut leaves of a disk that keeps
# what it acknowledged. The image is judged by mtools.

kill_case=a_machine_killed_at_any_moment_leaves_old_or_new_and_is_undone

# Moments looked at while the machine stands still; at the last one, and in a second machine, it is killed.
moments=14

# Copies a bank's files out with mtools: bank_files IMAGE NUMBER DIR
bank_files() {
  mkdir -p "$3"
  MTOOLS_SKIP_CHECK=1 mcopy -n -s -i "$1@@$(partition_offset "$1" "$2")" "::*" "$3" </dev/null
}

# The images to compare with, the files of their banks, and the undo file between them.
make_yardsticks() {
  local which number
  make_disk old esxi67-two-sectors
  cp "$work/old.img" "$work/new.img"
  XDG_STATE_HOME=$work "$binary" -q fix -z "$work/kill.undo" "$work/new.img" >/dev/null
  for which in old new; do
    for number in 5 6; do
      bank_files "$work/$which.img" "$number" "$work/$which.$number"
    done
  done
}

# Prints old, new or mixed, or nothing and fails: judge IMAGE
judge() {
  local number file name found=''
  rm -rf "$work/judged"
  for number in 5 6; do
    bank_files "$1" "$number" "$work/judged/$number" || return 1
    [[ $(ls "$work/judged/$number") == $(ls "$work/old.$number") ]] || return 1
    for file in "$work/old.$number"/*; do
      name=$(basename "$file")
      if cmp -s "$file" "$work/new.$number/$name"; then
        cmp -s "$file" "$work/judged/$number/$name" || return 1
      elif cmp -s "$file" "$work/judged/$number/$name"; then
        found+=o
      elif cmp -s "$work/new.$number/$name" "$work/judged/$number/$name"; then
        found+=n
      else
        return 1
      fi
    done
  done
  case $found in
    *o*n* | *n*o*) echo between ;;
    *o*) echo old ;;
    *n*) echo new ;;
  esac
}

start_slow_machine() {
  cp "$work/old.img" "$work/slow.img"
  start_machine slow loop \
    -drive "if=none,id=slow,format=raw,cache=writethrough,file=$work/slow.img" \
    -device virtio-scsi-pci,id=scsi -device scsi-hd,bus=scsi.0,drive=slow,serial=slow
  await_line slow ready 75
}

# A number of tenths of a second between 0.3 and 1.9, another one each time but the same in each run.
pause() {
  local tenths=$((3 + $1 * 7 % 17))
  sleep "$((tenths / 10)).$((tenths % 10))"
}

# Judges one image, undoes it, and compares every byte; counts in old, new and between.
judge_and_undo() {
  local held
  held=$(judge "$1") || {
    report "FAIL $kill_case: $1 is neither old nor new"
    return 1
  }
  case $held in
    old) old=$((old + 1)) ;;
    new) new=$((new + 1)) ;;
    between) between=$((between + 1)) ;;
  esac
  cmp -s "$1" "$work/old.img" || cmp -s "$1" "$work/new.img" || cut=$((cut + 1))
  cp "$1" "$work/undone.img"
  if ! "$binary" -q undo "$work/kill.undo" "$work/undone.img" >/dev/null || ! cmp -s "$work/undone.img" "$work/old.img"; then
    report "FAIL $kill_case: undo does not restore every byte of $1"
    return 1
  fi
  rm "$1"
}

run_kill_case() {
  local moment old=0 new=0 between=0 cut=0 image
  make_yardsticks
  for machine in first second; do
    start_slow_machine || {
      report "FAIL $kill_case: the machine does not start; see $work/slow.console"
      return
    }
    for ((moment = 1; moment < moments; moment++)); do
      pause "$moment"
      # Standing still is all a copy needs; what is in the image is what a kill would leave.
      kill -STOP "$machine_pid"
      cp --sparse=always "$work/slow.img" "$work/moment.$machine.$moment.img"
      kill -CONT "$machine_pid"
      [[ $machine == first ]] || break
    done
    pause 5
    end_machine
    mv "$work/slow.img" "$work/moment.$machine.killed.img"
    if grep -qx stopped "$work/slow.report"; then
      report "FAIL $kill_case: the program failed inside the machine; see $work/slow.console"
      return
    fi
  done
  for image in "$work"/moment.*.img; do
    judge_and_undo "$image" || return
  done
  echo "vm-test: killed: $old old, $new new, $between between two switches; $cut in the middle of a run"
  report "ok $kill_case"
}
