#!/usr/bin/env bash
# Every command of docs/masked-language-models.md, in an empty folder, as it stands there.
source "$(dirname "$0")/lib.sh"
page=$here/../../docs/masked-language-models.md
for _ in $(seq 1 40); do
    printf 'the %s says %s\n' cat miau dog wuff cow muh hen gack
done >text.txt

# the recipe: the indented lines from "# masked.yaml" to the first empty one
awk '/^    # masked.yaml/ { on = 1; next } on && /^$/ { exit } on { print substr($0, 5) }' "$page" >masked.yaml
grep -q 'preset: bert' masked.yaml

mapfile -t commands < <(sed -n 's/^    \$ mega //p' "$page")
((${#commands[@]} >= 9)) || fail "the page has ${#commands[@]} commands"
for command in "${commands[@]}"; do
    eval "\"$mega\" $command" >out 2>err || fail "mega $command: $(cat err)"
    case $command in
    *--json*) python3 -m json.tool <out >page 2>/dev/null || ! command -v python3 >/dev/null || fail "mega $command prints no JSON: $(cat out)" ;;
    eval*) grep -q 'masked tokens in [0-9]* rows: loss' out || fail "mega $command said: $(cat out)" ;;
    *dog*) head -1 out | grep -qP '^1\t0\.\d+\twuff\tthe dog says wuff$' || fail "mega $command said: $(cat out)" ;;
    *cat*) head -1 out | grep -qP '^1\t0\.\d+\tmiau\tthe cat says miau$' || fail "mega $command said: $(cat out)" ;;
    esac
done
