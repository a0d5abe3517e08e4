#!/bin/sh
# Installs ollamapy from this checkout, then runs it when words follow. See ./install.sh --help.
# The shell only finds a Python; everything else is decided and done in scripts/installer.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=scripts/lib/python.sh
. "$here/scripts/lib/python.sh"
python=$(find_python)
exec "$python" -EsB "$here/scripts/installer" "$@"
