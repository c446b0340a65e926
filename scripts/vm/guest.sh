# shellcheck shell=bash disable=SC2034 # the cases use what is set here
# What the cases inside the machine have in common: the disks, runs of the program, and the kernel's
# own vfat as the judge of what a bank holds.

declare -A image_of=([stick]=esxi67-usb-passthru [pulled]=esxi67-fresh [protected]=esxi67-fresh [plain]=esxi67-two-sectors
  [fourk]=esxi67-4kn)

# One line for the host.
say() {
  printf '%s\n' "$*" >&3
}

fail() {
  echo "$*" >/tmp/why
  exit 1
}

skip() {
  echo "$*" >/tmp/why
  exit 75
}

# Waits up to 30 seconds for a command to succeed.
await() {
  local tries=150
  until "$@" >/dev/null 2>&1; do
    ((tries-- > 0)) || return 1
    sleep 0.2
  done
}

# ---- disks

# The serial number of a disk: SCSI keeps it in a page of its own, USB some levels up.
serial_of() {
  local dir
  dir=$(readlink -f "$1/device") || return 1
  if [[ -e $dir/vpd_pg80 ]] && tail -c +5 "$dir/vpd_pg80" | tr -d '\0' | grep .; then
    return
  fi
  while [[ $dir != / ]]; do
    if [[ -e $dir/serial ]]; then
      cat "$dir/serial"
      return
    fi
    dir=$(dirname "$dir")
  done
}

# The node of the disk with this serial number.
disk_of() {
  local block
  for block in /sys/block/sd*; do
    if [[ $(serial_of "$block") == "$1" && $(<"$block/size") != 0 ]]; then
      echo "/dev/${block##*/}"
      return
    fi
  done
  return 1
}

# The same for a case, which may change it: it is put right afterwards.
use() {
  echo "$1" >>/tmp/used
  disk_of "$1" || fail "there is no disk $1"
}

await_disks() {
  case $(</proc/cmdline) in
    *vm.run=loop*) await disk_of slow || say "no disk" ;;
    *vm.run=measure*) await disk_of stick || say "no disk" ;;
    *) for name in "${!image_of[@]}"; do await disk_of "$name" || say "FAIL disks: no $name"; done ;;
  esac
}

# Somebody who keeps a node open; $! is who.
keep_open() {
  # shellcheck disable=SC2217 # it reads nothing, it has it open
  (exec sleep 1000 <"$1") &
  await grep -q sleep "/proc/$!/comm"
}

# Digest of every byte, read from the disk itself.
digest() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
  sha256sum <"$1" | cut -d ' ' -f 1
}

pristine() {
  local file=/tmp/pristine.$1
  [[ -e $file ]] || zcat "/images/${image_of[$1]}.img.gz" | sha256sum | cut -d ' ' -f 1 >"$file"
  cat "$file"
}

# Fails unless every byte is as it was: unchanged NODE NAME WHEN
unchanged() {
  [[ $(digest "$1") == "$(pristine "$2")" ]] || fail "$1 is not byte for byte what it was ${3:-}"
}

# ---- device-mapper

# map NAME TABLE
map() {
  printf '%s\n' "$2" | dmsetup create "$1" --noudevsync
}

remap() {
  printf '%s\n' "$2" | dmsetup load "$1"
  dmsetup resume "$1" --noudevsync
}

unmap() {
  await dmsetup remove "$1" --noudevsync || fail "the mapping $1 cannot be removed"
}

# ---- the program

# Leaves the exit code in $code, the words in /tmp/out and /tmp/err.
run() {
  code=0
  timeout 120 bootbank "$@" >/tmp/out 2>/tmp/err || code=$?
  echo "bootbank $*: exit code $code"
  cat /tmp/out /tmp/err
}

words() {
  tr -s '\n' ' ' </tmp/err
}

exits() {
  [[ $code == "$1" ]] || fail "exit code $code, not $1: $(words)"
}

says() {
  grep -qF -- "$1" /tmp/err || fail "does not say '$1': $(words)"
}

# ---- what a bank holds, by the kernel's vfat

# The node of a partition of a disk; over a mapping one is made.
partition_of() {
  local disk=$1 number=$2 below
  if [[ $disk != /dev/mapper/* ]]; then
    echo "$disk$number"
    return
  fi
  below=/sys/block/$(basename "$3")/$(basename "$3")$number
  [[ -e /dev/mapper/look$number ]] || map "look$number" "0 $(<"$below/size") linear $disk $(<"$below/start")" >&2
  echo "/dev/mapper/look$number"
}

# The esx.conf in a state file.
conf_in() {
  case $1 in
    */state.tgz) zcat "$1" | tar xO local.tgz | zcat | tar xO etc/vmware/esx.conf ;;
    *) zcat "$1" | tar xO etc/vmware/esx.conf ;;
  esac
}

# Digests of what is on a volume besides its state files.
others_on() {
  (cd "$1" && find . -type f ! -name state.tgz ! -name local.tgz -print0 | sort -z | xargs -0 -r sha256sum)
}

# Notes what a bank of an untouched disk holds: note NAME NODE NUMBER
note() {
  local dir=/tmp/expect/$1/$3 file
  [[ -d $dir ]] && return
  mkdir -p "$dir" /mnt/look
  mount -t vfat -o ro "$2" /mnt/look
  others_on /mnt/look >"$dir/others"
  for file in /mnt/look/*.tgz; do
    case $file in
      */state.tgz | */local.tgz)
        conf_in "$file" >"$dir/${file##*/}.old"
        sed 's|^\(/device/[^ ]*/owner = \)"passthru"$|\1"vmkernel"|' "$dir/${file##*/}.old" >"$dir/${file##*/}.new"
        cmp -s "$dir/${file##*/}".{old,new} && fail "$file passes nothing through"
        ;;
    esac
  done
  umount /mnt/look
}

note_all() {
  note "$1" "${2}5" 5
  note "$1" "${2}6" 6
}

# Says old, new, mixed or neither of a mounted bank: holds_at NAME NUMBER MOUNT-POINT
holds_at() {
  local dir=/tmp/expect/$1/$2 file name found='' one
  others_on "$3" | cmp -s - "$dir/others" || {
    echo "neither: other files changed"
    return
  }
  for file in "$dir"/*.old; do
    [[ -e $file ]] || continue
    name=$(basename "$file" .old)
    conf_in "$3/$name" >/tmp/conf || true
    one=neither
    cmp -s /tmp/conf "$dir/$name.old" && one=old
    cmp -s /tmp/conf "$dir/$name.new" && one=new
    case $found in
      '' | "$one") found=$one ;;
      *) found=mixed ;;
    esac
  done
  echo "${found:-empty}"
}

# The same of a partition: holds NAME NUMBER NODE
holds() {
  mkdir -p /mnt/look
  mount -t vfat -o ro "$3" /mnt/look || {
    echo "neither: cannot be mounted"
    return
  }
  holds_at "$1" "$2" /mnt/look
  umount /mnt/look
}

# Fails unless both banks hold this: both_hold NAME DISK WHAT
both_hold() {
  local number held
  for number in 5 6; do
    [[ -e /tmp/expect/$1/$number/state.tgz.old ]] || continue
    held=$(holds "$1" "$number" "$2$number")
    [[ $held == "$3" ]] || fail "the kernel reads bank $number as $held, not $3"
  done
}

# ---- the stick that is pulled out

# A command for QEMU's monitor; what may stand in its line already is ended first.
monitor() {
  printf '\r' >&4
  sleep 0.5
  printf '%s\r' "$1" >&4
}

pull_out() {
  monitor "device_del pulled"
}

plug_in() {
  monitor "device_add usb-storage,bus=usb.0,drive=pulled,id=pulled,serial=pulled,removable=on"
}

# ---- stopping between steps

# Starts the program and stops it right after its Nth call of a kind: pwrite64 writes to a medium, and
# nothing else; start_and_stop CALL N ARGUMENTS...
start_and_stop() {
  local call=$1 count=$2
  shift 2
  rm -f /tmp/trace
  strace -f -qq -o /tmp/trace -e "trace=$call" -e "inject=$call:signal=STOP:when=$count" \
    bootbank "$@" >/tmp/out 2>/tmp/err &
  tracer=$!
  await grep -q 'stopped by SIGSTOP' /tmp/trace || fail "did not come to $call $count: $(words)"
  stopped=$(sed -n 's/^\([0-9]*\) .*stopped by SIGSTOP.*/\1/p' /tmp/trace | head -n 1)
  # From process to its leader.
  stopped=$(sed -n 's/^Tgid:\t//p' "/proc/$stopped/status")
}

# The same for a fix, by the writes to the medium: the undo file comes first, in one call.
fix_and_stop() {
  local writes=$1
  shift
  start_and_stop pwrite64 "$((1 + writes))" fix -y -z /undo/x "$@"
}

# Lets it go on to its end; leaves its exit code in $code.
go_on() {
  kill -CONT "$stopped"
  await test ! -e "/proc/$stopped/exe" || fail "does not end after it went on"
  code=0
  wait "$tracer" || code=$?
  echo "after it went on: exit code $code"
  cat /tmp/out /tmp/err
}

# ---- tidying up

tidy() {
  local name node pid
  for pid in $(pidof bootbank strace sleep); do kill -KILL "$pid" 2>/dev/null; done
  for node in $(tac /proc/swaps | sed -n 's|^\(/dev/[^ ]*\).*|\1|p'); do swapoff "$node"; done
  for node in $(tac /proc/mounts | cut -d ' ' -f 2 | grep '^/mnt/'); do umount "$node"; done
  for node in /sys/block/md*/md; do [[ -e $node ]] && mdadm -q --stop "/dev/$(basename "$(dirname "$node")")"; done
  for node in /sys/block/loop*/loop; do [[ -e $node ]] && losetup -d "/dev/$(basename "$(dirname "$node")")"; done
  dmsetup remove_all -f --noudevsync >/dev/null 2>&1
  rm -rf /undo/* /tmp/state
  while read -r name; do
    [[ $name == protected ]] && continue
    [[ $name != pulled ]] || disk_of pulled >/dev/null || plug_in
    await disk_of "$name" || continue
    node=$(disk_of "$name")
    chown root:root "$node"*
    chmod 0600 "$node"*
    [[ $(digest "$node") == "$(pristine "$name")" ]] && continue
    echo "putting $name right"
    zcat "/images/${image_of[$name]}.img.gz" | dd of="$node" bs=1M conv=fsync,notrunc iflag=fullblock 2>/dev/null
    blockdev --flushbufs "$node"
  done < <(sort -u /tmp/used)
}
