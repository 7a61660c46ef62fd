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

# a model to ask: two updates on trees of its own, by the installed program
mega=$tmp/tree/bin/mega
"$mega" data listops --out "$tmp/data" --train 40 --valid 10 --test 10 --min-length 3 --max-length 20 >/dev/null 2>&1
cat >"$tmp/tiny.yaml" <<END
task: { name: listops, train: "$tmp/data/basic_train.tsv", valid: "$tmp/data/basic_val.tsv" }
model: { layers: 1, width: 8, values: 8, keys: 4, ffn: 8, ema: 2, longest: 32, head_width: 8 }
optim: { lr: 1e-3, steps: 2 }
train: { batch: 4, validate_every: 2 }
END
"$mega" train "$tmp/tiny.yaml" --run "$tmp/run" --quiet

expect() { # WAY PROGRAM
    local said
    said=$("$2" "$tmp/run" "[MAX 2 [MIN 9 4 ] 3 ]")
    [[ $said =~ ^[0-9]\ 0\.[0-9]{3}$ ]] || {
        echo "$1: the program said \"$said\", not a digit and its probability"
        exit 1
    }
    echo "$1: $said"
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
