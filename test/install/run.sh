#!/usr/bin/env bash
# Installs a build, moves the tree, and builds and runs a user's program against it by each way in: run.sh BUILD
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${1:?usage: test/install/run.sh BUILD}
cc=${CC:-cc}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cmake --install "$build" --prefix "$tmp/first" >/dev/null
mv "$tmp/first" "$tmp/tree"

expect() { # WAY PROGRAM
    local said
    said=$("$2")
    [[ $said == "bad file" ]] || {
        echo "$1: the program said \"$said\", not \"bad file\""
        exit 1
    }
    echo "$1: fine"
}

PKG_CONFIG_PATH=$(dirname "$(find "$tmp/tree" -name megac.pc)")
export PKG_CONFIG_PATH
for static in "" --static; do
    # shellcheck disable=SC2046,SC2086 # pkg-config prints words
    "$cc" -std=c11 -Wall -Wextra -pedantic -Werror "$here/user.c" $(pkg-config $static --cflags --libs megac) -o "$tmp/user"
    expect "pkg-config $static" "$tmp/user"
done
unset PKG_CONFIG_PATH

if ! { cmake -G Ninja -S "$here" -B "$tmp/build" -DCMAKE_PREFIX_PATH="$tmp/tree" -DCMAKE_C_COMPILER="$cc" &&
    cmake --build "$tmp/build"; } >"$tmp/log" 2>&1; then
    cat "$tmp/log"
    exit 1
fi
expect "find_package(megac)" "$tmp/build/user"
