#!/usr/bin/env bash
# The checks of the project, one after another; each says what it is. Stops at the end, not at the first
# failure, and its last line tells what failed.
# Usage: scripts/check.sh lint|types|shell|imports …      scripts/check.sh test [pytest arguments]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
bin=.venv/bin
failed=()

step() { # words, command…
  local words=$1 began=$SECONDS
  shift
  printf '\n== %s\n' "$words"
  if ! "$@"; then
    failed+=("$words")
  fi
  printf '   %s s\n' "$((SECONDS - began))"
}

shell_files() {
  find framework scripts .ci -type f -print0 | while IFS= read -r -d '' file; do
    if IFS= read -r first <"$file" && [[ $first =~ ^'#!'.*(bash|/sh)$ ]]; then printf '%s\0' "$file"; fi
  done 2>/dev/null
}

shell_lint() { shell_files | xargs -0 -r "$bin/shellcheck" --external-sources; }

lint() {
  step "ruff check" "$bin/ruff" check --quiet .
  step "ruff format" "$bin/ruff" format --check --quiet .
}
shell() { step "shellcheck" shell_lint; }
types() { step "mypy" "$bin/mypy"; }
imports() { step "import rules" "$bin/lint-imports" --no-logo; }

if [[ ${1:-} == test ]]; then
  shift
  lint
  types
  shell
  imports
  counts=.cache/tests.txt
  run_tests() {
    "$bin/python" -m pytest "$@" 2>&1 | tee "$counts"
    return "${PIPESTATUS[0]}"
  }
  step "tests" run_tests "${@:-tests}"
  # A part of the suite asked for by name is looked at alone; the whole includes the demo.
  [[ $# -gt 0 ]] || step "demo" "$bin/python" -m demo --once --dir .cache/demo-of-tests
  printf '\n'
  grep -E '^SKIPPED' "$counts" | sed 's/^/   /'
  [[ ${#failed[@]} -eq 0 ]] || printf 'FAILED: %s\n' "${failed[@]}"
  grep -E '[0-9]+ (passed|failed|error)' "$counts" | tail -n 1
else
  for name in "$@"; do
    case $name in
    lint | types | shell | imports) "$name" ;;
    *)
      echo "check.sh knows no check called $name" >&2
      exit 3
      ;;
    esac
  done
  [[ ${#failed[@]} -eq 0 ]] || printf 'FAILED: %s\n' "${failed[@]}"
fi
[[ ${#failed[@]} -eq 0 ]]
