#!/bin/sh
# Fills .venv with the locked packages and this project: `bootstrap.sh runtime` for running, `prod` for running with
# PostgreSQL, RabbitMQ or Redis, `dev` for testing.
#
# Asks only for Python 3.11 or newer with pip 23.0 or newer: Debian's python3 has no ensurepip, so the environment is made
# without pip and filled from outside by `pip --python`. Each part is redone only when what it was made from has changed.
set -eu

stage=${1:-}
case $stage in
runtime | prod | dev) ;;
*)
    echo "usage: tools/bootstrap.sh runtime|prod|dev" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
venv=.venv
python=${PYTHON:-python3}

fail() {
    echo "bootstrap: $1" >&2
    exit 1
}

make_venv() {
    command -v "$python" >/dev/null 2>&1 || fail "no $python here; install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is older than 3.11; name a newer one: make PYTHON=/path/to/python3"
    rm -rf "$venv"
    "$python" -m venv --without-pip "$venv" || fail "$python cannot make an environment in $PWD/$venv"
}

# A virtual environment cannot be moved, and one whose Python has gone is of no use: both are made again.
if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -c pass 2>/dev/null; then
    make_venv
elif [ -f "$venv/.made-in" ] && [ "$(cat "$venv/.made-in")" != "$PWD" ]; then
    make_venv
fi
echo "$PWD" >"$venv/.made-in"

# Settings of the person's own pip that would send packages somewhere else.
unset PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONPATH PYTHONHOME
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

pip_is_new_enough='import pip, sys; sys.exit(int(pip.__version__.split(".")[0]) < 23)'

pip_install() {
    if "$python" -c "$pip_is_new_enough" 2>/dev/null; then
        "$python" -m pip --python "$venv/bin/python" install --quiet "$@"
    elif "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$venv/bin/python" -m pip install --quiet "$@"
    else
        fail "$python has no pip of 23.0 or newer; install it (Debian: apt-get install python3-pip)"
    fi
}

# done_for FILE SUM: was that part made from exactly this?
done_for() { [ -f "$venv/.$1" ] && [ "$(cat "$venv/.$1")" = "$2" ]; }

lock=requirements/$stage.lock
[ -f "$lock" ] || fail "$lock is missing; it belongs to the repository"
lock_sum=$(cksum <"$lock")
if ! done_for "$stage" "$lock_sum"; then
    echo "bootstrap: installing $lock into $venv (only after the lock has changed)" >&2
    # A development install holds all of the runtime's, so whichever came before is overtaken.
    rm -f "$venv/.runtime" "$venv/.prod" "$venv/.dev"
    pip_install --only-binary :all: --require-hashes -r "$lock"
    echo "$lock_sum" >"$venv/.$stage"
    # Each lock is resolved under the smaller ones, so that it also does for what they are for.
    [ "$stage" = runtime ] || cksum <requirements/runtime.lock >"$venv/.runtime"
    [ "$stage" != dev ] || cksum <requirements/prod.lock >"$venv/.prod"
fi

project_sum=$(cksum <pyproject.toml)
if ! done_for project "$project_sum" || ! [ -x "$venv/bin/events" ]; then
    # The build backend is in the lock, so that nothing here is fetched unlocked.
    pip_install --no-build-isolation --no-deps --editable .
    echo "$project_sum" >"$venv/.project"
fi
