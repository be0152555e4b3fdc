#!/usr/bin/env bash
# Fills one Python environment, in one way; ends at the first failure, so that the caller can try another way.
# Usage: UV=… PYTHON=… scripts/install-packages.sh uv|uv-system|pip FOLDER REQUIREMENTS yes|no
#        (the last: our own package too). `uv-system` trusts the system's certificates, for a site whose index
#        is signed by an authority of its own.
set -euo pipefail
way=$1 folder=$2 requirements=$3 own=$4

case $way in
pip)
  "$folder/bin/python" -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv --clear "$folder"
  "$folder/bin/python" -m pip install --quiet -r "$requirements"
  [[ $own == no ]] || "$folder/bin/python" -m pip install --quiet --no-deps -e .
  ;;
uv | uv-system)
  if [[ $way == uv-system ]]; then export UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1; fi
  "$folder/bin/python" -c '' 2>/dev/null || "$UV" venv --quiet --clear --python "$PYTHON" "$folder"
  "$UV" pip install --quiet --python "$folder/bin/python" -r "$requirements"
  [[ $own == no ]] || "$UV" pip install --quiet --python "$folder/bin/python" --no-deps -e .
  ;;
*)
  echo "usage: scripts/install-packages.sh uv|uv-system|pip FOLDER REQUIREMENTS yes|no" >&2
  exit 3
  ;;
esac
