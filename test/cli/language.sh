#!/usr/bin/env bash
# Language models from text to bits a byte: every decoder trains, resumes bit for bit, and scores the same whatever the batch.
source "$(dirname "$0")/lib.sh"

# a text with something to learn: counting lines
seq 1 700 | sed 's/$/ bottles of ink on the shelf/' >text.txt

# recipe DECODER MODEL...: a small language model
recipe() {
    cat <<END
task: { name: lm, train: [text.txt], hold_out: 0.1, length: 48 }
model: { decoder: $1, layers: 2, width: 16, $2, dropout: 0.1 }
optim: { lr: 5e-3, steps: 12 }
train: { batch: 4, validate_every: 6, save_every: 6, keep: 0 }
END
}
mega_model='values: 24, keys: 8, ffn: 20, ema: 3, chunk: 16'
megalodon_model='values: 24, keys: 8, ffn: 20, ema: 3, chunk: 16, groups: 4'
transformer_model='heads: 2, ffn: 24, longest: 64, rotary_dims: 8'
recipe mega "$mega_model" >mega.yaml
recipe megalodon "$megalodon_model" >megalodon.yaml
recipe transformer "$transformer_model" >transformer.yaml
recipe llama 'heads: 2, kv_heads: 1, longest: 64' >llama.yaml
recipe gpt2 'heads: 2, longest: 64' >gpt2.yaml

number() { sed -n "s/.*\"$1\": \([-0-9.e]*\).*/\1/p" <<<"$2"; }
near() { awk -v a="$1" -v b="$2" -v e="$3" 'BEGIN { exit !(a - b < e && b - a < e) }' || fail "$4: $1 and $2"; }

for kind in mega megalodon transformer llama gpt2; do
    "$mega" train $kind.yaml --run $kind -q
    "$mega" train $kind.yaml --run $kind-again -q --stop-after 7 2>/dev/null || [[ $? == 75 ]]
    "$mega" train --run $kind-again --resume auto -q
    same_run $kind $kind-again 12
    "$mega" verify $kind/latest >/dev/null
    # every token once, whatever the batch
    one=$("$mega" eval $kind --json --batch 1) all=$("$mega" eval $kind --json --batch 64)
    [[ $(number tokens "$one") == "$(number tokens "$all")" ]]
    near "$(number loss "$one")" "$(number loss "$all")" 1e-5 "$kind, batches of 1 and 64"
    # training on counting lines gets below the entropy of single bytes
    awk -v bits="$(number bits_per_byte "$one")" 'BEGIN { exit !(bits > 0 && bits < 8) }' || fail "$kind: $one"
done

# with chunks the whole past may be carried along: pieces of any whole number of chunks say the same
for kind in mega megalodon; do
    short=$("$mega" eval $kind --json --context stream --length 16) long=$("$mega" eval $kind --json --context stream --length 64)
    near "$(number loss "$short")" "$(number loss "$long")" 1e-5 "$kind, steps of 16 and 64"
done
"$mega" eval llama --context window --length 32 --stride 8 >score && grep -q "bits a byte" score
refused 1 "room for 64" "$mega" eval llama --context stream

"$mega" inspect mega >shown && grep -q 'decoder: mega' shown
"$mega" train --dry-run megalodon.yaml >dry && grep -q "layers.0.mega.cema.alpha" dry && grep -q "in all" dry
"$mega" report mega megalodon --out r.html && grep -q 'bits_per_byte' r.html
refused 1 "no classes" "$mega" predict mega text.txt
refused 1 "unknown key model.heads" "$mega" train --dry-run mega.yaml --set model.heads=2
refused 1 "task.name is" "$mega" train --dry-run mega.yaml --set task.name=none
refused 1 "measured by its loss" "$mega" train --dry-run mega.yaml --set train.metric=accuracy
: >empty.txt
refused 1 "empty" "$mega" train mega.yaml --run never --set task.train=empty.txt
[[ ! -e never ]]

# over a tokenizer: it travels with checkpoints and with their mean
"$mega" tokenizer train bpe text.txt --size 300 --out bpe
"$mega" train mega.yaml --run words -q --set task.tokenizer=bpe
for model in words/latest mean; do
    [[ $model != mean ]] || "$mega" average mean words/step-000006 words/step-000012
    [[ -f $model/tokenizer.json ]]
    "$mega" eval $model text.txt >score && grep -q 'bits a byte' score
    "$mega" generate $model --prompt "1 bottle" --tokens 3 -q >/dev/null
done
cmp words/latest/tokenizer.json mean/tokenizer.json
