# shellcheck shell=bash disable=SC2154 # work, kernel, binary and cases are those of scripts/vm-test
# The rescue image on machines of its own: with UEFI and Secure Boot from a USB stick, with a BIOS from a CD. The host's
# boot stick is on a USB controller that its state has passed through. What the machine leaves is judged from outside.

rescue_cases=(
  rescue_image_has_the_same_bytes_twice
  rescue_image_repairs_the_boot_stick_of_its_host_and_turns_it_off
  rescue_image_is_answered_at_the_serial_line
  rescue_image_on_a_cd_repairs_with_a_bios_and_saves_the_undo_file
  rescue_image_on_a_cd_keeps_the_undo_file_on_a_volume_made_for_it
)

# Seconds until the machine counts as stuck.
rescue_limit=1200

# Its serial line, where a case talks to it.
serial_line=''

without_a_person='bootbank=fix-boot-device bootbank.yes loglevel=6'

# The program for the image has to be a static one.
rescue_program() {
  if ldd "$binary" >/dev/null 2>&1; then
    [[ -e "$build_dir/dist/bootbank-x86_64" ]] || scripts/build-static --arch x86_64 >&2
    echo "$build_dir/dist/bootbank-x86_64"
  else
    echo "$binary"
  fi
}

# The image that asks, or with these words the one that does not, as a file of this case: rescue_image NAME [WORDS]
rescue_image() {
  local made=$work/rescue-asking.iso
  [[ -z ${2:-} ]] || made=$work/rescue-by-itself.iso
  [[ -e $made ]] || scripts/rescue-image --kernel "$kernel" --binary "$(rescue_program)" --append "${2:-}" -o "$made"
  cp --sparse=always "$made" "$work/$1.rescue"
}

# esx.conf of a bank, without our code: esx_conf IMAGE NUMBER
esx_conf() {
  mtype -i "$1@@$(partition_offset "$1" "$2")" ::state.tgz | tar -xzO local.tgz | tar -xzO etc/vmware/esx.conf
}

# The host with its boot stick; how it starts and what else it has are the arguments: start_host NAME ARGUMENTS...
start_host() {
  local name=$1 line=(-serial "file:$work/$1.console")
  shift
  serial_line=$work/$name.line
  gzip -dc testimages/esxi67-usb-passthru.img.gz >"$work/$name.img"
  cp --sparse=always "$work/$name.img" "$work/$name.before"
  case $name in
    *asks*) line=(-chardev "socket,id=line,path=$serial_line,server=on,wait=on,logfile=$work/$name.console" -serial chardev:line) ;;
  esac
  # The UUID is that of the host in the state; 14.0 is the controller that the state has passed through.
  start_qemu_without_line "$name" -machine q35,smm=on -m 1024 "${line[@]}" \
    -uuid "$(esx_conf "$work/$name.img" 5 | sed -n 's,^/system/uuid = "\(.*\)",\1,p')" \
    -device qemu-xhci,id=hosts,addr=0x14 -device qemu-xhci,id=others,addr=0x10 \
    -drive "if=none,id=host,format=raw,file=$work/$name.img" \
    -device usb-storage,bus=hosts.0,drive=host,serial=host,removable=on "$@"
}

# With UEFI, Secure Boot and the rescue image on a USB stick: start_from_stick NAME
start_from_stick() {
  local firmware=/usr/share/OVMF
  cp "$firmware/OVMF_VARS_4M.ms.fd" "$work/$1.vars"
  start_host "$1" -global driver=cfi.pflash01,property=secure,value=on -global ICH9-LPC.disable_s3=1 \
    -drive "if=pflash,format=raw,unit=0,readonly=on,file=$firmware/OVMF_CODE_4M.ms.fd" \
    -drive "if=pflash,format=raw,unit=1,file=$work/$1.vars" \
    -drive "if=none,id=rescue,format=raw,file=$work/$1.rescue" \
    -device usb-storage,bus=others.0,drive=rescue,serial=rescue,removable=on,bootindex=1
}

# With a BIOS, the rescue image on a CD, and one more stick: start_from_cd NAME
start_from_cd() {
  start_host "$1" -drive "if=none,id=rescue,format=raw,media=cdrom,readonly=on,file=$work/$1.rescue" \
    -device ide-cd,drive=rescue,bus=ide.1,bootindex=1 \
    -drive "if=none,id=other,format=raw,file=$work/$1.other" \
    -device usb-storage,bus=others.0,drive=other,serial=other,removable=on
}

# Waits until the machine has turned itself off; ends it if it does not.
await_off() {
  local until=$((SECONDS + rescue_limit))
  while kill -0 "$machine_pid" 2>/dev/null; do
    ((SECONDS < until)) || {
      end_machine
      echo "the machine does not turn itself off"
      return
    }
    sleep 1
  done
}

# What is wrong with what the machine left, or nothing: judge_rescue NAME VOLUME, which has the undo file
judge_rescue() {
  local host=$work/$1.img number conf
  for number in 5 6; do
    conf=$(esx_conf "$host" "$number")
    grep -qxF '/device/0000:00:20.0/owner = "vmkernel"' <<<"$conf" || echo "bank $number: the boot controller is still passed through"
    grep -qxF '/device/0000:00:29.0/owner = "passthru"' <<<"$conf" || echo "bank $number: another device was given back too"
    dd if="$host" of="$work/bank" bs=512 skip="$(($(partition_offset "$host" "$number") / 512))" count=65504 status=none
    fsck.fat -n "$work/bank" >/dev/null || echo "bank $number: fsck.fat is not content"
  done
  # The undo file leads back to every byte.
  mcopy -s -n -i "$2" ::bootbank/undo "$work/$1.undo" </dev/null || echo "there is no undo file"
  "$binary" -q undo "$work/$1.undo"/*.undo "$host" >/dev/null || echo "the undo file does not lead back"
  cmp -s "$host" "$work/$1.before" || echo "undo leaves other bytes"
}

# Answers like a person, from the menu to the written change.
give_the_controller_back() {
  cat <<'STEPS'
wait Your choice:
type 1
wait Which medium?
take /dev/sd
wait What is to be done?
take Give the boot controller back (0000:00:14.0
wait Write this to
take Yes, write it
STEPS
}

case_rescue_image_has_the_same_bytes_twice() {
  rescue_image twice
  scripts/rescue-image --kernel "$kernel" --binary "$(rescue_program)" -o "$work/again.iso"
  cmp "$work/twice.rescue" "$work/again.iso" 2>&1 || true
  rm "$work/again.iso"
}

case_rescue_image_repairs_the_boot_stick_of_its_host_and_turns_it_off() {
  rescue_image alone "$without_a_person"
  start_from_stick alone
  await_off
  grep -q 'Kernel is locked down from EFI Secure Boot' "$work/alone.console" || echo "the kernel does not say that Secure Boot is on"
  judge_rescue alone "$work/alone.rescue@@$(partition_offset "$work/alone.rescue" 3)"
}

case_rescue_image_is_answered_at_the_serial_line() {
  rescue_image stick-asks
  start_from_stick stick-asks
  {
    echo "wait the FAT volume BOOTBANK"
    give_the_controller_back
    printf '%s\n' 'wait Your choice:' 'type 5' end
  } | scripts/vm/talk "$serial_line" "$rescue_limit" 2>&1 || true
  await_off
  judge_rescue stick-asks "$work/stick-asks.rescue@@$(partition_offset "$work/stick-asks.rescue" 3)"
}

case_rescue_image_on_a_cd_repairs_with_a_bios_and_saves_the_undo_file() {
  rescue_image cd-asks
  truncate -s 33M "$work/cd-asks.other"
  sfdisk -q "$work/cd-asks.other" <<<'start=2048, type=c'
  mkfs.fat --offset 2048 "$work/cd-asks.other" 32768 >/dev/null
  start_from_cd cd-asks
  {
    echo "wait WARNING: undo files are kept in memory only"
    give_the_controller_back
    # It is offered at once; whoever does not want it is asked again.
    printf '%s\n' 'wait Save to which?' 'type no' 'wait That is none of them.' 'wait Your choice:' 'type 5' \
      'wait Turn off all the same?' 'type no' 'wait Your choice:' 'type 3' 'wait FAT volumes:' 'take /dev/sd' \
      'wait Saved' 'wait Your choice:' 'type 5' end
  } | scripts/vm/talk "$serial_line" "$rescue_limit" 2>&1 || true
  await_off
  judge_rescue cd-asks "$work/cd-asks.other@@1M"
}

case_rescue_image_on_a_cd_keeps_the_undo_file_on_a_volume_made_for_it() {
  rescue_image cd-alone "$without_a_person"
  # As a stick without a table.
  truncate -s 32M "$work/cd-alone.other"
  mkfs.fat -n BOOTBANK "$work/cd-alone.other" >/dev/null
  start_from_cd cd-alone
  await_off
  judge_rescue cd-alone "$work/cd-alone.other"
}

run_rescue_cases() {
  local name wrong
  for name in "${rescue_cases[@]}"; do
    is_chosen "$name" || continue
    : >"$work/wrong"
    # Not in a subshell: the machine is ended with this process.
    "case_$name" >"$work/wrong"
    end_machine
    wrong=$(<"$work/wrong")
    if [[ -n $wrong ]]; then
      report "FAIL $name: ${wrong//$'\n'/; }; see $work/*.console"
    else
      report "ok $name"
    fi
  done
}
