# shellcheck shell=sh
# Finds a Python that ollamapy runs on. To be sourced; POSIX sh, because macOS and Alpine bring no newer bash.

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
can_make_environments() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Prints the first Python >= 3.11 that can make environments, else the first one >= 3.11 (the installer then
# says what it lacks). With none it says in one sentence what mends it, and fails.
find_python() {
    second=
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        found=$(command -v "$name") && fits "$found" || continue
        if can_make_environments "$found"; then
            printf '%s\n' "$found"
            return
        fi
        second=${second:-$found}
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
