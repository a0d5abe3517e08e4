# shellcheck shell=sh
# Finds a Python that ollamapy runs on. To be sourced; POSIX sh, because macOS and Alpine bring no newer bash.

# Exit code 0: it fits. 3: it does, but cannot make environments. Anything else: too old, or broken.
try_python() {
    "$1" -c 'import sys
from importlib.util import find_spec
sys.exit(1 if sys.version_info < (3, 11) else 0 if find_spec("ensurepip") and find_spec("venv") else 3)' >/dev/null 2>&1
}

# Prints the first Python that fits, else the first that cannot make environments (the installer then says what it
# lacks). With none it says in one sentence what mends it, and fails.
find_python() {
    second=
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        found=$(command -v "$name") || continue
        code=0
        try_python "$found" || code=$?
        case $code in
            0) printf '%s\n' "$found" && return ;;
            3) second=${second:-$found} ;;
        esac
    done
    if [ -n "$second" ]; then
        printf '%s\n' "$second"
        return
    fi
    old=$(python3 -c 'import platform; print(platform.python_version())' 2>/dev/null) || old=
    echo "ollamapy needs Python 3.11 or newer${old:+ and found only $old}; install it with: $(python_command "$old")" >&2
    return 1
}

# The command that brings a Python on this system. $1: the version that is there and too old, or nothing.
python_command() {
    sudo='sudo '
    [ "$(id -u)" != 0 ] || sudo=
    if [ "$(uname -s)" = Darwin ]; then
        command -v brew >/dev/null && echo "brew install python@3.13" || echo "open https://www.python.org/downloads/"
    elif command -v apt-get >/dev/null; then
        version=3
        [ -z "$1" ] || version=3.11
        echo "${sudo}apt-get install python$version python$version-venv"
    elif command -v dnf >/dev/null; then
        echo "${sudo}dnf install python3.12"
    elif command -v zypper >/dev/null; then
        echo "${sudo}zypper install python313"
    elif command -v pacman >/dev/null; then
        echo "${sudo}pacman -S python"
    elif command -v apk >/dev/null; then
        echo "${sudo}apk add python3"
    else
        echo "the package manager of this system, or from python.org"
    fi
}
