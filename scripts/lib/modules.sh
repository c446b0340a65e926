# shellcheck shell=bash
# Modules of a kernel for an initial file system. Sourced.

# Where an unpacked kernel package keeps its modules: modules_of KERNEL-DIR
modules_of() {
  local base=$1
  [[ -d $base/lib/modules ]] || base=$base/usr
  find "$base/lib/modules" -mindepth 1 -maxdepth 1 -type d | sort -V | tail -n 1
}

# Copies modules and what they need to ROOT, unpacked, and lists them in ROOT/lib/modules/order, each after its needs.
# NAME is that of a module, or of a folder below kernel/ for all that is in it. What a kernel does not have, or
# has built in, is left out: copy_modules KERNEL-DIR ROOT NAME...
copy_modules() {
  local from root=$2 version dependencies name line words i to
  from=$(modules_of "$1")
  version=${from##*/}
  dependencies=$(depmod -n -b "${from%/lib/modules/*}" "$version" 2>/dev/null | grep -E '^[^:]*\.ko(\.xz|\.zst)?:')
  mkdir -p "$root/lib/modules"
  : >"$root/lib/modules/order"
  for name in "${@:3}"; do
    while read -r line; do
      # A module comes before its needs, and those before theirs.
      read -r -a words <<<"${line/:/ }"
      for ((i = ${#words[@]} - 1; i >= 0; i--)); do
        to=lib/modules/$version/${words[i]%.[xz]*}
        [[ -e $root/$to ]] && continue
        mkdir -p "$root/${to%/*}"
        case ${words[i]} in
          *.xz) xz -dc "$from/${words[i]}" ;;
          *.zst) zstd -qdc "$from/${words[i]}" ;;
          *) cat "$from/${words[i]}" ;;
        esac >"$root/$to"
        echo "/$to" >>"$root/lib/modules/order"
      done
    done < <(
      case $name in
        */*) grep "^kernel/$name/" <<<"$dependencies" ;;
        *) grep -E -m 1 "(^|/)${name//[-_]/[-_]}\.ko(\.xz|\.zst)?:" <<<"$dependencies" ;;
      esac
    )
  done
}
