# shellcheck shell=bash disable=SC2154 # work, kernel, cases and results are those of scripts/vm-test
# The virtual machine, as scripts/vm-test and scripts/bench.sh start it.

# Seconds until a machine counts as stuck.
guest_limit=900

machine_pid=''

# Whether a case was asked for.
is_chosen() {
  local part
  ((${#cases[@]})) || return 0
  for part in "${cases[@]}"; do
    [[ $1 == *"$part"* ]] && return 0
  done
  return 1
}

any_guest_case() {
  local name
  while read -r name; do
    is_chosen "$name" && return 0
  done < <(sed -n 's/^case_\([a-z0-9_]*\)() {$/\1/p' scripts/vm/cases-*.sh)
  return 1
}

# A bundled image as a disk of the machine: disk NAME IMAGE
make_disk() {
  gzip -dc "testimages/$2.img.gz" >"$work/$1.img"
}

# Byte at which a partition of an image begins: partition_offset IMAGE NUMBER
partition_offset() {
  echo $(($(sfdisk -d "$1" | sed -n "s,^$1$2 : start= *\([0-9]*\)\,.*,\1,p") * 512))
}

# Arguments that make one of the images known to QEMU by its name.
backing() {
  local name=$1 more=${2:-}
  drives+=(-blockdev "driver=raw,node-name=$name,file.driver=file,file.filename=$work/$name.img$more")
}

# Starts QEMU in the background: start_qemu_without_line NAME ARGUMENTS...
start_qemu_without_line() {
  nice qemu-system-x86_64 -accel tcg -smp 1 -display none -nodefaults -no-reboot "${@:2}" 2>"$work/$1.qemu" &
  machine_pid=$!
}

# The same; the console goes to $work/NAME.console: start_qemu NAME ARGUMENTS...
start_qemu() {
  start_qemu_without_line "$1" -serial "file:$work/$1.console" "${@:2}"
}

# Starts the machine in the background. Its console goes to $work/NAME.console, what it reports to
# $work/NAME.report: start_machine NAME RUN ARGUMENTS...
start_machine() {
  local name=$1 run=$2
  shift 2
  local image
  image=$(find "$kernel/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)
  : >"$work/$name.report"
  start_qemu "$name" -m 768 -kernel "$image" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1 random.trust_cpu=on vm.run=$run" \
    -serial "file:$work/$name.report" "$@"
}

# Ends the machine as a power cut does.
end_machine() {
  [[ -n $machine_pid ]] || return 0
  kill -KILL "$machine_pid" 2>/dev/null || true
  wait "$machine_pid" 2>/dev/null || true
  machine_pid=''
}

# Waits until the report holds a line: await_line NAME LINE SECONDS
await_line() {
  local until=$((SECONDS + $3))
  until grep -qx "$2" "$work/$1.report"; do
    kill -0 "$machine_pid" 2>/dev/null && ((SECONDS < until)) || return 1
    sleep 0.2
  done
}

report() {
  echo "$1"
  echo "$1" >>"$results"
}

# All cases that run inside the machine, in one machine.
run_cases() {
  local drives=()
  make_disk stick esxi67-usb-passthru
  make_disk pulled esxi67-fresh
  make_disk protected esxi67-fresh
  make_disk plain esxi67-two-sectors
  make_disk fourk esxi67-4kn
  backing stick
  backing pulled
  backing protected ,read-only=on
  backing plain
  backing fourk
  # The third serial line is QEMU's monitor: the machine pulls its own stick.
  start_machine cases cases "${drives[@]}" \
    -device qemu-xhci,id=usb -device virtio-scsi-pci,id=scsi \
    -device usb-storage,bus=usb.0,drive=stick,id=stick,serial=stick,removable=on \
    -device usb-storage,bus=usb.0,drive=pulled,id=pulled,serial=pulled,removable=on \
    -device usb-storage,bus=usb.0,drive=protected,id=protected,serial=protected,removable=on \
    -device scsi-hd,bus=scsi.0,drive=plain,serial=plain,write-cache=off \
    -device scsi-hd,bus=scsi.0,drive=fourk,serial=fourk,write-cache=on,logical_block_size=4096,physical_block_size=4096 \
    -chardev "socket,id=monitor,path=$work/monitor,server=on,wait=off" -mon chardev=monitor \
    -chardev "socket,id=line,path=$work/monitor" -serial chardev:line
  local ended=yes shown=0 lines
  show_new_lines() {
    lines=$(grep -c '' "$work/cases.report") || true
    ((lines > shown)) || return 0
    sed -n "$((shown + 1)),${lines}p" "$work/cases.report" | tee -a "$results"
    shown=$lines
  }
  local until=$((SECONDS + guest_limit))
  while kill -0 "$machine_pid" 2>/dev/null; do
    ((SECONDS < until)) || {
      ended=no
      break
    }
    show_new_lines
    sleep 1
  done
  end_machine
  show_new_lines
  if [[ $ended == no ]]; then
    report "FAIL the_machine_ends: not within $guest_limit seconds"
  elif ! grep -q ' passed, .* failed, .* skipped$' "$work/cases.report"; then
    report "FAIL the_machine_ends: without a final line; see $work/cases.console"
  fi
}
