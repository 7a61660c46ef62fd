#!/usr/bin/env bash
# Every command of docs/language-models.md that begins with "$ mega", in an empty folder, as it stands there.
source "$(dirname "$0")/lib.sh"
page=$here/../../docs/language-models.md
seq 1 1500 | sed 's/$/ bottles of ink on the shelf/' >text.txt

# the recipe: the indented lines from "# small.yaml" to the first empty one
awk '/^    # small.yaml/ { on = 1; next } on && /^$/ { exit } on { print substr($0, 5) }' "$page" >small.yaml
grep -q 'decoder: megalodon' small.yaml

mapfile -t commands < <(sed -n 's/^    \$ mega //p' "$page")
((${#commands[@]} >= 8)) || fail "the page has ${#commands[@]} commands"
for command in "${commands[@]}"; do
    eval "\"$mega\" $command" >out 2>err || fail "mega $command: $(cat err)"
    case $command in
    eval*json* | score*json* | generate*json*)
        python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' <out 2>/dev/null || ! command -v python3 >/dev/null ||
            fail "mega $command prints no JSON"
        ;;
    eval*) grep -q 'bits a byte' out ;;
    generate*) [[ -s out ]] ;;
    esac
done
