#!/bin/sh
# Makes .venv with everything this project needs; returns at once where nothing has changed since.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp="$venv/installed"
wanted=$({ pwd; cat pyproject.toml constraints.txt; } | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

fail() {
    echo "$1" >&2
    exit 1
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
        if is_new_enough "$name"; then echo "$name" && return; fi
    done
    fail "Python 3.11 or newer is needed and was not found: install it, or name it with PYTHON=..."
}

make_venv() {
    rm -rf "$venv"
    if "$python" -m venv "$venv" >/dev/null 2>&1; then return; fi
    rm -rf "$venv"
    # Debian and Ubuntu keep the venv module in a package of its own.
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if ! command -v apt-get >/dev/null; then fail "$python cannot make a virtual environment: its venv module is missing."; fi
    if [ "$(id -u)" -ne 0 ]; then fail "Python's venv module is missing. Type: sudo apt-get install $package"; fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    "$python" -m venv "$venv"
}

# uv does not read pip's settings, so it is told what pip was told: where packages and wheels lie on this machine.
pip_setting() { "$venv/bin/pip" config get "$1" 2>/dev/null || true; }

tell_uv() {
    find_links="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$(pip_setting global.find-links)}}"
    index="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(pip_setting global.index-url)}}"
    if [ -n "$find_links" ]; then export UV_FIND_LINKS="$find_links"; fi
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
}

install() { "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" -c constraints.txt -e '.[worker]' --group dev; }

install_cpu_torch() { (export UV_TORCH_BACKEND=cpu && install); }

# Without it torch brings 3 GB of CUDA libraries along, which only a GPU can use.
has_cpu_only() {
    [ "$(uname -s)" = Linux ] && [ -z "${UV_FIND_LINKS:-}${UV_TORCH_BACKEND:-}" ] && [ ! -e /dev/nvidiactl ]
}

python=$(find_python)
echo "Installing into $venv with $("$python" --version)"
if ! is_new_enough "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then make_venv; fi
"$venv/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt uv
tell_uv
if ! { has_cpu_only && install_cpu_torch; }; then install; fi
echo "$wanted" >"$stamp"
