#!/bin/sh
# Fills tests/tools/clients with the calendar programs of clients.lock, which want other versions of some packages than
# we do. Done again only when the lock has changed. The lock is made by:
#   uv pip compile clients.in --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -o clients.lock
set -eu

cd "$(dirname "$0")"
python=${PYTHON:-python3}
sum=$(cksum <clients.lock)
if [ -x clients/bin/khal ] && clients/bin/khal --version >/dev/null 2>&1 && [ "$(cat clients/.made-of 2>/dev/null)" = "$sum" ]; then
    exit 0
fi
rm -rf clients
"$python" -m venv --without-pip clients
PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 "$python" -m pip --python clients/bin/python install --quiet \
    --only-binary :all: --require-hashes -r clients.lock
echo "$sum" >clients/.made-of
