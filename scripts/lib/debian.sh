# shellcheck shell=bash
# Debian packages that the scripts use. Sourced.

# Installs packages, or says which are missing and ends: need_packages PACKAGE...
need_packages() {
  (($#)) || return 0
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "${0##*/}: missing: on Debian: sudo apt-get install --no-install-recommends $*" >&2
    exit 1
  fi
  echo "${0##*/}: installing: $*" >&2
  DEBIAN_FRONTEND=noninteractive apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" </dev/null >/dev/null
}

# The packages of the commands, and of the files, that are not there: need COMMAND:PACKAGE... FILE:PACKAGE...
need() {
  local pair missing=() packages
  for pair; do
    case $pair in
      /*) [[ -e ${pair%%:*} ]] ;;
      # Roots without libraries have no use for a busybox that wants some.
      busybox:*) command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1 ;;
      *) command -v "${pair%%:*}" >/dev/null ;;
    esac || missing+=("${pair##*:}")
  done
  ((${#missing[@]})) || return 0
  mapfile -t packages < <(printf '%s\n' "${missing[@]}" | sort -u)
  need_packages "${packages[@]}"
}

# Prints where the newest version of a package is unpacked, and fetches it where it is not:
# unpacked CACHE PACKAGE
unpacked() {
  local version place
  version=$(apt-cache policy "$2" 2>/dev/null | awk '/Candidate:/ { print $2 }') || true
  if [[ -z $version || $version == '(none)' ]]; then
    echo "${0##*/}: no package $2 to be had from apt" >&2
    return 1
  fi
  place=$1/$2-${version//[^A-Za-z0-9.+~-]/_}
  if [[ ! -d $place ]]; then
    echo "${0##*/}: fetching $2 $version" >&2
    # Chained, since bash does not end at a failure inside $(...). apt says at each download that its own user
    # may not write here, and goes on: what it says is shown where it fails.
    if ! {
      rm -rf "$place.part" &&
        mkdir -p "$place.part/x" &&
        (cd "$place.part" && apt-get download -qq "$2=$version" 2>said) &&
        dpkg-deb -x "$place.part"/*.deb "$place.part/x" &&
        mv "$place.part/x" "$place"
    }; then
      echo "${0##*/}: cannot fetch $2 $version:" >&2
      cat "$place.part/said" >&2 || true
      rm -rf "$place.part"
      return 1
    fi
    rm -r "$place.part"
  fi
  echo "$place"
}

# The same for the newest kernel: unpacked_kernel CACHE
unpacked_kernel() {
  local package
  package=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image-[0-9]/ { print $2; exit }') || true
  if [[ -z $package ]]; then
    echo "${0##*/}: no linux-image-amd64 to be had from apt; name an unpacked one: --kernel DIR" >&2
    return 1
  fi
  unpacked "$1" "$package"
}
