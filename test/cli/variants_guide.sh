#!/usr/bin/env bash
# Every command of docs/variants.md, in an empty folder, as it stands there.
source "$(dirname "$0")/lib.sh"
page=$here/../../docs/variants.md
seq 1 1500 | sed 's/$/ bottles of ink on the shelf/' >text.txt

# the recipe: the indented lines from "# small.yaml" to the first empty one
awk '/^    # small.yaml/ { on = 1; next } on && /^$/ { exit } on { print substr($0, 5) }' "$page" >small.yaml
grep -q 'decoder: transformer' small.yaml

mega() { "$mega" "$@"; }
mapfile -t commands < <(sed -n 's/^    \$ //p' "$page")
((${#commands[@]} >= 17)) || fail "the page has ${#commands[@]} commands"
for command in "${commands[@]}"; do
    eval "$command" >out 2>err || fail "$command: $(cat err)"
done
[[ -s three.html && -s mine.csv ]]
grep -q '^| alibi |' mine.md && grep -q '^| rotary |' mine.md || fail "$(cat mine.md)"
[[ $(grep -c '"variant": "rotary"' runs/mine/results.jsonl) == 3 ]] || fail "$(cat runs/mine/results.jsonl)"
