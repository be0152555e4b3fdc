#!/usr/bin/env bash
# What the tests need from the system. As root on Debian it installs what is missing and says so;
# elsewhere it names it and goes on (tests that need it say why they are skipped).
set -euo pipefail

declare -A package=([tmux]=tmux [git]=git [flock]=util-linux [ps]=procps)
missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
python=${PYTHON:-python3}
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
  echo "setup: installing with apt-get what the tests need: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "setup: missing on this machine, and tests that need it are skipped: ${missing[*]} (Debian: apt-get install ${missing[*]})" >&2
fi
