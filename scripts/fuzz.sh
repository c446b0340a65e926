#!/usr/bin/env bash
# Fuzzes the parsers with libFuzzer, one target after the other, at the lowest priority.
#
#   scripts/fuzz.sh [TARGET|all] [SECONDS]
#
# Needs a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz --locked). A target is
# stopped after SECONDS (default 3600), or after 30 minutes in which it covered nothing new. What it
# finds is left in fuzz/artifacts/TARGET; what it learns in fuzz/corpus/TARGET. The last lines say
# how many inputs were tried, what they covered, and what share got to the target's last layer.
#
# A find becomes a file in fuzz/seeds/TARGET, named by the lie it tells: tests/hostile replays them.
set -euo pipefail

cd "$(dirname "$0")/../fuzz"

targets=(table fat boot_cfg state envelope esx_conf store_json store_bytes image undo)
# The longest input worth trying, in bytes, as in src/drive.rs.
longest=(16384 65536 4096 16384 20480 8192 512 32768 65536 65536)
asked=${1:-all}
seconds=${2:-3600}
stale=1800

if [[ $asked != all && " ${targets[*]} " != *" $asked "* ]] || ! [[ $seconds =~ ^[0-9]+$ ]]; then
  sed -n '2,14s/^# \?//p' "../scripts/fuzz.sh" >&2
  exit 2
fi

[[ -n ${BOOTBANK_FUZZ_BUILT:-} ]] || nice -n 19 cargo +nightly fuzz build --fuzz-dir . -s address
host=$(rustc -vV | sed -n 's/^host: //p')

failed=0
for index in "${!targets[@]}"; do
  target=${targets[index]}
  [[ $asked == all || $asked == "$target" ]] || continue
  mkdir -p "corpus/$target" "artifacts/$target"
  log=artifacts/$target/log
  nice -n 19 "target/$host/release/$target" -artifact_prefix="artifacts/$target/" -max_len="${longest[index]}" \
    -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=10 -detect_leaks=0 -print_final_stats=1 \
    "corpus/$target" "seeds/$target" >"$log" 2>&1 &
  running=$!
  best=0
  since=$SECONDS
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
  if wait "$running"; then outcome=done; else
    outcome=found
    failed=1
  fi
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  depth=$(sed -n 's/^depth: //p' "$log" | tail -n 1)
  echo "$target: $outcome: ${inputs:-?} inputs, $best edges covered; ${depth:-depth unknown}"
  [[ $outcome == done ]] || grep -m 3 -E 'panicked|ERROR|SUMMARY' "$log" || true
done
exit "$failed"
