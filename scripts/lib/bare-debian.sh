# shellcheck shell=bash disable=SC2154 # work is that of scripts/test-packages
# The package on a Debian with nothing on it but shells and man. Sourced by scripts/test-packages, whose work, fail, ok
# and skip it uses.

# A stable Debian from where this machine's apt gets its packages, or why there is none: make_debian ROOT
make_debian() {
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 2>/dev/null |
    grep -v -- -security | sort -u | sed -n 1p) || true
  if [[ -z $mirror ]]; then
    echo "apt knows no archive of Debian"
    return 1
  fi
  mmdebstrap -q --variant=minbase --include=zsh,fish,man-db stable "$1" "$mirror" 2>&1
}

# What is shown in a terminal for keys that are typed into a zsh of that root: in_zsh ROOT TYPED
in_zsh() {
  # Ctrl-G says what the line is, and empties it.
  script -qec "chroot $1 env -i TERM=dumb HOME=/root PATH=$PATH zsh -f -i" /dev/null 2>&1 <<TYPED
cd /tmp; autoload -U compinit; compinit -u -D; tell() { print -r -- "<<\$BUFFER>>"; BUFFER= }; zle -N tell; bindkey '^G' tell
$2$(printf '\t\a')
exit
TYPED
}

complete_in_zsh_and_fish() {
  local root=$1 typed wanted got
  touch "$root/tmp/stick-of-host.img"
  while IFS='|' read -r typed wanted; do
    got=$(in_zsh "$root" "$typed") || true
    grep -qF "<<$wanted >>" <<<"$got" || fail "zsh makes of \`$typed\` not \`$wanted\`: $got"
    # clap_complete gives fish the values of options only; those of `schema` and `completions` it does not offer.
    [[ $typed != *' schema '* ]] || continue
    got=$(chroot "$root" fish -c "cd /tmp; complete -C '$typed'") || fail "fish does not complete \`$typed\`"
    cut -f 1 <<<"$got" | grep -qxF -- "${wanted##* }" || fail "fish does not offer \`${wanted##* }\` for \`$typed\`: $got"
  done <<'COMPLETIONS'
bootbank reclai|bootbank reclaim
bootbank pci se|bootbank pci set
bootbank fix --dry|bootbank fix --dry-run
bootbank fix --color al|bootbank fix --color always
bootbank fix --bank ne|bootbank fix --bank next
bootbank fix stick-|bootbank fix stick-of-host.img
bootbank schema chan|bootbank schema change
COMPLETIONS
}

# test_on_bare_debian DEB
test_on_bare_debian() {
  local root=$work/debian release left
  if ! make_debian "$root" >"$work/debian.log"; then
    skip "the package on a bare Debian, zsh and fish: $(tail -n 3 "$work/debian.log")"
    return
  fi
  release=$(<"$root/etc/debian_version")
  cp "$1" "$root/bootbank.deb"
  chroot "$root" dpkg --install /bootbank.deb >"$work/debian.log" 2>&1 || fail "dpkg on Debian $release: $(<"$work/debian.log")"
  gzip -dc testimages/esxi67-usb-passthru.img.gz >"$root/stick.img"
  chroot "$root" bootbank -q fix -y -z /undo /stick.img || fail "fix, on Debian $release"
  chroot "$root" bootbank -q verify /stick.img || fail "verify, on Debian $release"
  chroot "$root" bootbank -q undo /undo /stick.img || fail "undo, on Debian $release"
  gzip -dc testimages/esxi67-usb-passthru.img.gz | cmp - "$root/stick.img" || fail "undo left other bytes on Debian $release"
  grep -qx SYNOPSIS <(chroot "$root" man bootbank-fix 2>/dev/null) || fail "man on Debian $release does not show bootbank-fix"
  ok "on a bare Debian $release dpkg installs it, it repairs and undoes, and man shows its pages"

  complete_in_zsh_and_fish "$root"
  ok "zsh and fish complete commands, options, values and files"

  chroot "$root" dpkg --purge bootbank >"$work/debian.log" 2>&1 || fail "dpkg on Debian $release: $(<"$work/debian.log")"
  rm "$root/bootbank.deb"
  # man keeps the pages that it has shown.
  left=$(find "$root" -xdev -name '*bootbank*' -not -path '*/var/cache/man/*')
  [[ -z $left ]] || fail "left behind on Debian $release: $left"
  rm -rf "$root"
}
