# Cargo subcommands that the scripts use, each in one version. Sourced.

# Installs a cargo subcommand below target/, where it is in nobody's way, and puts it on PATH.
need_cargo_tool() {
  local crate=$1 version=$2 tools=$PWD/target/tools
  if [[ ! -e $tools/$crate-$version ]]; then
    echo "${0##*/}: installing $crate $version" >&2
    cargo install --quiet --locked --root "$tools" --version "$version" "$crate"
    touch "$tools/$crate-$version"
  fi
  export PATH="$tools/bin:$PATH"
}
