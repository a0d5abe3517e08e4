# shellcheck shell=sh
# Goes to the checkout's root and makes the test environment; to be sourced. Words are testenv.py's: --quick, or none.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
# shellcheck source=scripts/lib/python.sh
. scripts/lib/python.sh
prepare() {
    found=$(find_python)
    "$found" -EsB scripts/installer/testenv.py "$@"
    PATH=$root/.venv/bin:$PATH
}
