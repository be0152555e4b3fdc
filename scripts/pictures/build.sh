#!/usr/bin/env bash
# Builds the Hydrogen Matrix client from its npm package and a Python environment with a browser driver, both
# into .cache/pictures. Needs node with npm, python3 with venv, and the network. See README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(cd "$here/../.." && pwd)/.cache/pictures
site=$work/site
mkdir -p "$site"

[[ -x $work/venv/bin/python ]] || python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check playwright pillow

cd "$work"
[[ -f package.json ]] || echo '{"private": true, "type": "module"}' >package.json
npm install --no-audit --no-fund --loglevel=error hydrogen-view-sdk@0.3.1 esbuild@0.28.2

# olm.js names modules of node that a browser does not have and does not reach.
echo 'export default {};' >absent.js
cp "$here/hydrogen.js" app.js
npx esbuild app.js --bundle --format=esm --log-level=error --outfile="$site/app.js" \
  --alias:crypto=./absent.js --alias:fs=./absent.js --alias:path=./absent.js

sdk=node_modules/hydrogen-view-sdk
cp -r "$sdk/asset-build/assets" "$site/"
cp "$sdk/lib-build/sw.js" node_modules/@matrix-org/olm/olm{.js,_legacy.js,.wasm} "$site/"
cat >"$site/index.html" <<'HTML'
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Hydrogen</title>
    <link id="theme" rel="stylesheet" href="/assets/theme-element-light.css">
  </head>
  <body id="app" class="hydrogen"><script type="module" src="/app.js"></script></body>
</html>
HTML
echo "built: $site"
