# shellcheck shell=bash disable=SC2154 # work, kernel, binary and cases are those of scripts/vm-test
# The rescue image on a machine of its own: UEFI with Secure Boot, the host's boot stick on a USB controller that its
# state has passed through, the rescue image on another stick. What it leaves is judged from outside.

rescue_case=rescue_image_repairs_the_boot_stick_of_its_host_and_turns_it_off

# Seconds until the machine counts as stuck.
rescue_limit=900

# The program for the image has to be a static one.
rescue_program() {
  if ldd "$binary" >/dev/null 2>&1; then
    [[ -e target/dist/bootbank-x86_64 ]] || scripts/build-static --arch x86_64 >&2
    echo target/dist/bootbank-x86_64
  else
    echo "$binary"
  fi
}

# esx.conf of a bank, without our code: esx_conf IMAGE NUMBER
esx_conf() {
  mtype -i "$1@@$(partition_offset "$1" "$2")" ::state.tgz | tar -xzO local.tgz | tar -xzO etc/vmware/esx.conf
}

start_rescue_machine() {
  local firmware=/usr/share/OVMF
  cp "$firmware/OVMF_VARS_4M.ms.fd" "$work/rescue.vars"
  # The UUID is that of the host in the state; 14.0 is the controller that the state has passed through.
  start_qemu rescue -machine q35,smm=on -m 1024 \
    -global driver=cfi.pflash01,property=secure,value=on -global ICH9-LPC.disable_s3=1 \
    -drive "if=pflash,format=raw,unit=0,readonly=on,file=$firmware/OVMF_CODE_4M.ms.fd" \
    -drive "if=pflash,format=raw,unit=1,file=$work/rescue.vars" \
    -uuid "$(esx_conf "$work/host.img" 5 | sed -n 's,^/system/uuid = "\(.*\)",\1,p')" \
    -device qemu-xhci,id=hosts,addr=0x14 -device qemu-xhci,id=others,addr=0x10 \
    -drive "if=none,id=host,format=raw,file=$work/host.img" \
    -device usb-storage,bus=hosts.0,drive=host,serial=host,removable=on \
    -drive "if=none,id=rescue,format=raw,file=$work/rescue.img" \
    -device usb-storage,bus=others.0,drive=rescue,serial=rescue,removable=on,bootindex=1
}

# What is wrong with what the machine left, or nothing.
judge_rescue() {
  local number conf
  grep -q 'Kernel is locked down from EFI Secure Boot' "$work/rescue.console" || echo "the kernel does not say that Secure Boot is on"
  for number in 5 6; do
    conf=$(esx_conf "$work/host.img" "$number")
    grep -qxF '/device/0000:00:20.0/owner = "vmkernel"' <<<"$conf" || echo "bank $number: the boot controller is still passed through"
    grep -qxF '/device/0000:00:29.0/owner = "passthru"' <<<"$conf" || echo "bank $number: another device was given back too"
    dd if="$work/host.img" of="$work/bank" bs=512 skip="$(($(partition_offset "$work/host.img" "$number") / 512))" count=65504 status=none
    fsck.fat -n "$work/bank" >/dev/null || echo "bank $number: fsck.fat is not content"
  done
  # Its third partition holds the undo file, which leads back to every byte.
  mcopy -s -n -i "$work/rescue.img@@$(partition_offset "$work/rescue.img" 3)" \
    ::bootbank/undo "$work/undo" </dev/null || echo "no undo file on the rescue image"
  "$binary" -q undo "$work"/undo/*.undo "$work/host.img" >/dev/null || echo "the undo file does not lead back"
  cmp -s "$work/host.img" "$work/host.before" || echo "undo leaves other bytes"
}

run_rescue_case() {
  local wrong until=$((SECONDS + rescue_limit))
  scripts/rescue-image --kernel "$kernel" --binary "$(rescue_program)" --append 'bootbank=fix-boot-device bootbank.yes loglevel=6' \
    -o "$work/rescue.img"
  make_disk host esxi67-usb-passthru
  cp --sparse=always "$work/host.img" "$work/host.before"
  start_rescue_machine
  while kill -0 "$machine_pid" 2>/dev/null; do
    ((SECONDS < until)) || {
      end_machine
      report "FAIL $rescue_case: the machine does not turn itself off; see $work/rescue.console"
      return
    }
    sleep 1
  done
  machine_pid=''
  wrong=$(judge_rescue)
  if [[ -n $wrong ]]; then
    report "FAIL $rescue_case: ${wrong//$'\n'/; }; see $work/rescue.console"
  else
    report "ok $rescue_case"
  fi
}
