#!/usr/bin/env bash
# Numbers, keys and sections of recipes (cases A08, A09); a full recipe resolves to itself.
source "$(dirname "$0")/lib.sh"
tiny "$cases/a06_7rows.tsv" >r.yaml

shown() { "$mega" train --dry-run r.yaml --set "$1" >full && grep -E "^  ${2}:" full; }
for number in 1e-3 1E-3 .001 1.0e-3 +0.001; do
    [[ $(shown "optim.lr=$number" lr) == "  lr: 0.001" ]] || fail "$number is not 0.001"
done
[[ $(shown optim.steps=1e1 steps) == "  steps: 10" ]]
[[ $(shown optim.steps=010 steps) == "  steps: 10" ]]
[[ $(shown optim.steps=0x10 steps) == "  steps: 16" ]]
for bad in 1_000 1:30 1e-3x 0.5.1 '"1e-3"' .nan 1e999; do
    refused 1 "optim.lr is" "$mega" train --dry-run r.yaml --set "optim.lr=$bad"
    sed "s/lr: 3e-3/lr: $bad/" r.yaml >bad.yaml
    refused 1 "bad.yaml:3:" "$mega" train --dry-run bad.yaml
done
refused 1 "expected a whole number" "$mega" train --dry-run r.yaml --set train.batch=2.5
refused 1 "optim.lr has no value" "$mega" train --dry-run r.yaml --set optim.lr=
refused 1 "the nearest is lr" "$mega" train --dry-run r.yaml --set optim.lrr=1
refused 1 "chunk is 0" "$mega" train --dry-run r.yaml --set model.chunk=0
refused 1 "model.chunk is -2" "$mega" train --dry-run r.yaml --set model.chunk=-2
refused 1 "a09_duplicate.yaml:4:3: the key lr stands here for the second time, first on line 2" "$mega" train "$cases/a09_duplicate.yaml"
refused 1 "a09_duplicate_section.yaml:5:1: the key optim stands here for the second time, first on line 1" "$mega" train "$cases/a09_duplicate_section.yaml"
{ echo 'lr: 0.1'; cat r.yaml; } >moved.yaml
refused 1 "moved.yaml:1:1: the key lr stands at the top level, expected optim.lr" "$mega" train moved.yaml
printf '\xef\xbb\xbf' >crlf.yaml && sed 's/$/\r/' r.yaml >>crlf.yaml
"$mega" train --dry-run crlf.yaml >/dev/null

"$mega" train r.yaml --run a -q
"$mega" train a/recipe.full.yaml --run b -q
cmp a/recipe.full.yaml b/recipe.full.yaml
[[ $(model_of a 12) == "$(model_of b 12)" ]] || fail "the full recipe trains another model"
refused 1 "is not empty" "$mega" train r.yaml --run a

# a Transformer: its own keys, a full recipe that resolves to itself
sed 's/^model: .*/model: { mixer: attention, layers: 2, width: 12, heads: 4, kv_heads: 2, ffn: 14, longest: 64, positions: learned, attention_dropout: 0.1 }/' \
    r.yaml >t.yaml
"$mega" train t.yaml --run c -q
"$mega" train c/recipe.full.yaml --run d -q
cmp c/recipe.full.yaml d/recipe.full.yaml
[[ $(model_of c 12) == "$(model_of d 12)" ]] || fail "the full recipe trains another Transformer"
refused 1 "unknown key model.heads" "$mega" train --dry-run t.yaml --set model.mixer=mega
refused 1 "heads is 4 and kv_heads is 3" "$mega" train --dry-run t.yaml --set model.kv_heads=3
refused 1 "width is 12 and heads is 5" "$mega" train --dry-run t.yaml --set model.heads=5
refused 1 "feed-forward of mixer mega has no gate" "$mega" train --dry-run r.yaml --set model.gated=true
