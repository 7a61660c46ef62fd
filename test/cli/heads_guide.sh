#!/usr/bin/env bash
# Every command of docs/heads.md that begins with "$ mega", in an empty folder, as it stands there.
source "$(dirname "$0")/lib.sh"
page=$here/../../docs/heads.md
seq 1 1500 | sed 's/$/ bottles of ink on the shelf/' >text.txt

printf '%s\t%s\t_\t_\t_\t_\t%s\t%s\t_\t_\n' 1 ten 2 amod 2 bottles 3 nsubj 3 stand 0 root >sentences.conllu

# the recipe: the indented lines from "# gates.yaml" to the first empty one
awk '/^    # gates.yaml/ { on = 1; next } on && /^$/ { exit } on { print substr($0, 5) }' "$page" >gates.yaml
grep -q 'head_gates: concrete' gates.yaml

mapfile -t commands < <(sed -n 's/^    \$ mega //p' "$page")
((${#commands[@]} >= 10)) || fail "the page has ${#commands[@]} commands"
for command in "${commands[@]}"; do
    eval "\"$mega\" $command" >out 2>err || fail "mega $command: $(cat err)"
    case $command in
    *json* | *rollout* | heads\ maps*relevance*)
        ! command -v python3 >/dev/null || python3 -c 'import json, sys; json.load(sys.stdin)' <out || fail "mega $command prints no JSON"
        ;;
    heads\ prune*) grep -q ' parameters; kept: ' out || fail "mega $command said: $(cat out)" ;;
    heads\ maps*csv*) sed -n 2p out | grep -Eqx '1,0,0,0,1' || fail "mega $command said: $(head -3 out)" ;;
    heads\ report*) grep -q 'What closed when' heads.html && [[ -s heads.csv && -s heads.json ]] ;;
    heads\ importance*csv*) head -1 weights.csv | grep -qx 'layer,head,weight' ;;
    heads\ importance*) grep -q '^layer ' out ;;
    esac
done
"$mega" heads importance small --method weight --csv - >kept.csv
[[ $(wc -l <kept.csv) == 5 ]] || fail "heads.keep is 4, the small model has $(cat kept.csv)"
