#!/usr/bin/env bash
# Fuzzes the parsers with libFuzzer, at the lowest priority.
#
#   scripts/fuzz.sh [TARGET|all] [SECONDS] [JOBS]
#
# Needs a nightly toolchain or any other that can be told to act as one; installs cargo-fuzz below
# target/. JOBS targets (default 1) run beside each other. A target is stopped after SECONDS (default
# 3600), or after 30 minutes in which it covered nothing new. What it finds is left in
# fuzz/artifacts/TARGET; what it learns in fuzz/corpus/TARGET. The last line of a target says how many
# inputs were tried, what they covered, and what share got to its last layer.
#
# A find becomes a file in fuzz/seeds/TARGET, named by the lie it tells: tests/hostile replays them.
set -euo pipefail

cd "$(dirname "$0")/.."
. scripts/lib/cargo-tools.sh

targets=(table fat boot_cfg state envelope esx_conf store_json store_bytes image undo nbd loader plan saved carrier)
# The longest input worth trying, in bytes, as in src/drive/mod.rs.
longest=(16384 65536 4096 16384 20480 8192 512 32768 65536 65536 8192 65536 4096 16384 16384)
asked=${1:-all}
seconds=${2:-3600}
jobs=${3:-1}
stale=1800

if [[ $asked != all && " ${targets[*]} " != *" $asked "* ]] || ! [[ $seconds =~ ^[0-9]+$ && $jobs =~ ^[1-9][0-9]*$ ]]; then
  sed -n '2,14s/^# \?//p' "$0" >&2
  exit 2
fi

if [[ -z ${BOOTBANK_FUZZ_BUILT:-} ]]; then
  need_cargo_tool cargo-fuzz 0.13.2
  cd fuzz
  if cargo +nightly --version >/dev/null 2>&1; then
    nice -n 19 cargo +nightly fuzz build --fuzz-dir . -s address
  else
    RUSTC_BOOTSTRAP=1 nice -n 19 cargo fuzz build --fuzz-dir . -s address
  fi
else
  cd fuzz
fi
host=$(rustc -vV | sed -n 's/^host: //p')

# fuzz TARGET LONGEST: runs one target to its end; fails where it finds something.
fuzz() {
  local target=$1 max=$2 log=artifacts/$1/log outcome=stopped words=()
  local running covered best=0 since=$SECONDS
  mkdir -p "corpus/$target" "artifacts/$target"
  [[ ! -e dictionaries/$target ]] || words=("-dict=dictionaries/$target")
  chrt -i 0 nice -n 19 "target/$host/release/$target" "${words[@]}" -artifact_prefix="artifacts/$target/" -max_len="$max" \
    -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=60 -detect_leaks=0 -print_final_stats=1 \
    "corpus/$target" "seeds/$target" >"$log" 2>&1 &
  running=$!
  while kill -0 "$running" 2>/dev/null; do
    sleep 5
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    if ((${covered:-0} > best)); then
      best=$covered
      since=$SECONDS
    elif ((SECONDS - since > stale)); then
      echo "$target: nothing new in $((stale / 60)) minutes"
      kill -INT "$running"
      break
    fi
  done
  local code=0
  wait "$running" || code=$?
  # 72 is how libFuzzer ends when it is interrupted.
  ((code == 0 || code == 72)) || outcome=found
  local inputs depth
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  depth=$(sed -n 's/^depth: //p' "$log" | tail -n 1)
  echo "$target: $outcome: ${inputs:-?} inputs, $best edges covered; ${depth:-depth unknown}"
  if [[ $outcome == found ]]; then
    grep -m 3 -E 'panicked|ERROR|SUMMARY' "$log" || true
    return 1
  fi
}

failed=0
waiting=0
for index in "${!targets[@]}"; do
  target=${targets[index]}
  [[ $asked == all || $asked == "$target" ]] || continue
  if ((waiting == jobs)); then
    wait -n || failed=1
    waiting=$((waiting - 1))
  fi
  fuzz "$target" "${longest[index]}" &
  waiting=$((waiting + 1))
done
while ((waiting > 0)); do
  wait -n || failed=1
  waiting=$((waiting - 1))
done
exit "$failed"
