#!/usr/bin/env bash
# Gates of heads in training, removal by original numbers (case C01), what is refused (case C03).
source "$(dirname "$0")/lib.sh"
seq 1 900 | sed 's/$/ bottles of ink on the shelf/' >text.txt
cat >r.yaml <<'END'
task: { name: lm, tokenizer: bytes, train: text.txt, cache: none, length: 32 }
model: { decoder: transformer, layers: 2, width: 16, heads: 4, ffn: 16, positions: learned, longest: 32, attention_bias: true,
    head_gates: concrete, gate_init: 0 }
optim: { lr: 3e-3, steps: 24, schedule: constant, weight_decay: 0.1 }
train: { batch: 8, accumulate: 2, validate_every: 12, save_every: 12, keep: 0 }
heads: { penalty: 0.3, rate: 30, warmup: 4, finish: 20, keep: 3 }
END

# resumed as if it had never stopped, the rounding of gates included
"$mega" train r.yaml --run a -q
"$mega" train r.yaml --run b -q --stop-after 12 || [[ $? == 75 ]]
"$mega" train r.yaml --run b -q --resume auto
same_run a b 24
"$mega" train r.yaml --run c -q --set heads.penalty=0 --set heads.target=0.5 --stop-after 12 || [[ $? == 75 ]]
"$mega" train r.yaml --run c -q --set heads.penalty=0 --set heads.target=0.5 --resume auto
"$mega" train r.yaml --run d -q --set heads.penalty=0 --set heads.target=0.5
same_run c d 24
grep -q '"penalty": .*"expected_heads": .*"active_heads": ' a/log.jsonl || fail "the log says nothing of heads"
tail -1 a/log.jsonl | grep -Eq '"gates": \[\[([01], ){3}[01]\], \[([01], ){3}[01]\]\]' || fail "gates are not rounded: $(tail -1 a/log.jsonl)"

# the small model computes what the gated one does
loss() { "$mega" eval "$1" text.txt | grep -o 'loss [0-9.]*'; }
"$mega" heads prune a small >said 2>err
grep -q '^small: 3 of 8 heads' said || fail "prune said: $(cat said)"
[[ $(loss a) == "$(loss small)" ]] || fail "$(loss a) with gates, $(loss small) without"

# a trained model gets gates; what does not train stays as it is
"$mega" train r.yaml --run e -q --set heads.from=small --set model.kept_heads="$(sed -n 's/.*"kept_heads": "\(.*\)",/\1/p' small/config.json)" \
    --set heads.keep=0 --set heads.finish=0 --set heads.penalty=0.001 2>err
refused 1 "heads.from: small: the model to start from has" "$mega" train r.yaml --run x -q --set heads.from=small
refused 1 "no parameter's name matches '*.nothing'" "$mega" train <(sed 's/^heads: {/heads: { train: ["*.nothing"],/' r.yaml) --run x1 -q
sed 's/^heads: {/heads: { train: ["*.gate.log_a"],/' r.yaml >g.yaml
"$mega" train g.yaml --run g -q --set heads.finish=0 --set heads.keep=0
"$mega" train g.yaml --run g0 -q --set heads.finish=0 --set heads.keep=0 --set optim.lr=0
"$mega" heads importance g --method weight --csv w >/dev/null && "$mega" heads importance g --method gates --csv l >/dev/null
cut -d, -f4 l | sort -u | wc -l | grep -vqx 1 || fail "gates did not train"

# gates that are given
sed -e 's/head_gates: concrete/head_gates: fixed/' -e 's/^heads: .*/heads: { open: ["1 0 1 0.5", "0 0 0 0"] }/' r.yaml >o.yaml
"$mega" train o.yaml --run o -q
"$mega" heads importance o --method gates --json | grep -qF '"gate": [[1, 0, 1, 0.5], [0, 0, 0, 0]]' || fail "fixed gates moved"
refused 1 "heads.open of layer 0 is '1 0', expected 4 numbers" "$mega" train <(sed 's/1 0 1 0.5/1 0/' o.yaml) --run x2 -q
refused 1 "heads.open has 1 texts, expected one for each of 2 layers" "$mega" train <(sed 's/, "0 0 0 0"//' o.yaml) --run x3 -q

# norms of weights, chance: without any data, of a model folder too
"$mega" heads prune a/best light --by weight --keep 3 --step 2 --json | grep -q '"heads": 3, .*{"heads": 3}' || fail "by weight without data"
"$mega" heads prune a/best lucky --by random --keep 3 >/dev/null 2>err && [[ ! -s err ]] || fail "by chance without data: $(cat err)"
refused 1 "no file is given" "$mega" heads prune a/best x9 --by weight --most 0.5

# what cannot be is refused by name
refused 1 "the upper limit of head gates is 1, expected more than 1" "$mega" train r.yaml --run x4 --set model.gate_high=1
refused 1 "the lower limit of head gates is 0, expected less than 0" "$mega" train r.yaml --run x5 --set model.gate_low=0
refused 1 "the model has no gates that train" "$mega" train r.yaml --run x6 --set model.head_gates=none
refused 1 "heads.penalty and heads.target are both given" "$mega" train r.yaml --run x7 --set heads.target=0.5
refused 1 "nothing says when: give heads.finish" "$mega" train r.yaml --run x8 --set heads.finish=0
refused 1 "is there already" "$mega" heads prune a small
refused 1 "layer 7 head 0: the model has layers 0 ... 1 of heads 0 ... 3" "$mega" heads prune a x9 --remove 7.0
refused 1 "'1' is no list of heads" "$mega" heads prune a x9 --remove 1
refused 1 "nothing says how many heads are to go" "$mega" heads prune a x9 text.txt --by gradient
refused 1 "the model's heads have no gates" "$mega" heads prune small x9
refused 1 "the model's heads have no gates" "$mega" heads prune small x9 text.txt --by gates --keep 1
[[ ! -e x9 && ! -e x9.part ]] || fail "a refusal left something behind"
cp -r small wrong && cp "$(echo a/best)/config.json" wrong/
refused 1 "expected [" "$mega" eval wrong text.txt

# the recipes are read whole
"$mega" data listops --out lists --train 64 --valid 16 --test 16 --min-length 20 --max-length 100 --seed 1 >/dev/null
for recipe in "$here"/../../recipes/heads/*.yaml; do
    sed -e 's|train: \[.*|train: text.txt|' -e 's|data/demo-listops|lists|' -e '/^  from:/d' -e 's/^  steps: .*/  steps: 2/' -e 's/^  \(finish\|keep\): .*/  \1: 2/' "$recipe" >recipe.yaml
    "$mega" train recipe.yaml --run "recipe-$(basename "$recipe" .yaml)" -q || fail "$recipe does not train"
done

# the page: whole, without anything from elsewhere (heads_page.sh looks at it in a browser); its numbers beside it
"$mega" heads report a text.txt --texts 4 --show 2 --out page.html >said
[[ $(tr '\n' ' ' <said) == "page.html page.json page.csv " ]] || fail "report said: $(cat said)"
! grep -Eq 'https?://|@import|url\(|src=|<link' page.html || fail "the page asks for something"
[[ $(grep -c '<h3>Text ' page.html) == 2 ]] || fail "the page shows $(grep -c '<h3>Text ' page.html) texts"
grep -q '<h3>Closed for good' page.html || fail "the page does not say what closed when"
grep -q 'count from 0' page.html || fail "the page does not say from where heads count"
head -1 page.csv | grep -q '^layer,head,gradient,signed,confidence,' || fail "the table has columns $(head -1 page.csv)"
[[ $(wc -l <page.csv) == 9 ]] || fail "the table has $(wc -l <page.csv) lines, expected 1 and 8 heads"
"$mega" heads report a text.txt --texts 1 --show 0 --out page >said
[[ $(tr '\n' ' ' <said) == "page page.json page.csv " ]] || fail "report said: $(cat said)"
refused 1 "nowhere" "$mega" heads report a text.txt --texts 1 --out nowhere/page.html
[[ ! -e nowhere ]] || fail "a refusal left something behind"
# a classifier, pooled by a class token: its gates, its page, what its classes are made of, and without the closed heads the same
cat >k.yaml <<END
task: { name: listops, train: "$cases/a03_48rows.tsv", valid: "$cases/a03_48rows.tsv" }
model: { encoder: transformer, pooling: class, layers: 2, width: 16, heads: 4, ffn: 16, longest: 64, positions: learned, head_gates: concrete,
    gate_init: 0.5 }
optim: { lr: 3e-3, steps: 24 }
train: { batch: 4, validate_every: 12, save_every: 12, keep: 0 }
heads: { penalty: 0.2, rate: 30, finish: 20, keep: 3 }
END
"$mega" train k.yaml --run k -q
"$mega" heads importance k --method relevance --texts 2 --csv - >shares
awk -F, 'NR > 1 { sum[$1] += $3; n++ } END { exit n != 8 || sum[0] + sum[1] < 0.999 || sum[0] > 1.001 || sum[1] > 1.001 }' shares || fail "shares are $(cat shares)"
"$mega" heads maps k --relevance >made
grep -q '^{"tokens": \["\[class\]", ' made && grep -q '"predicted": \["[0-9]"\], "relevance": \[\[' made || fail "a class is made of: $(cat made)"
"$mega" heads report k --texts 2 --relevance --out k.html >/dev/null
grep -q 'is made of it (relevance)' k.html || fail "the page does not say what a class is made of"
"$mega" heads prune k kept >/dev/null
cmp <("$mega" predict k "$cases/a03_48rows.tsv" | cut -f1) <("$mega" predict kept "$cases/a03_48rows.tsv" | cut -f1) || fail "other classes without closed heads"

refused 1 "needs sentences: --conllu FILE" "$mega" heads importance a --method syntax
printf '1\tx\n' >bad.conllu
refused 1 "bad.conllu:1: expected 10 columns" "$mega" heads importance a --method syntax --conllu bad.conllu
refused 1 "the model has no head 9 in layer 0" "$mega" heads maps a text.txt --layer 0 --head 9 --length 8

# C01: numbers are those of the first model
data=${MEGA_DATA:-$here/../../../shared/data}
stories=$data/weights/stories260K
[[ -e $stories/stories260K.bin ]] || exit 0
printf '%s' 'Lily wanted a cat named Max. Max was very happy. He wanted to play with his friends.' >text
"$mega" convert --tokenizer "$stories/tok512.bin" "$stories/stories260K.bin" s >/dev/null
check() { # FOLDER NATS PARAMETERS
    "$mega" score "$1" text 2>/dev/null | tail -1 | awk -v want="$2" '{ d = $7 - want; exit !(d < 2e-3 && d > -2e-3) }' ||
        fail "$1: $("$mega" score "$1" text 2>/dev/null | tail -1), expected $2 nats"
    "$mega" inspect "$1" | grep -q "$3 trainable parameters" || fail "$1: $("$mega" inspect "$1" | grep trainable), expected $3"
}
"$mega" heads prune s h1 --remove 1.1 >/dev/null
"$mega" heads prune h1 h12 --remove 1.2 >/dev/null
"$mega" heads prune s both --remove "1: 1 2" >/dev/null
"$mega" heads prune s h2 --remove 1.2 >/dev/null
"$mega" heads prune s h23 --remove 1.2,1.3 >/dev/null
check s 37.114182 260032
check h1 36.526225 259008
check h12 37.288060 257984
check both 37.288060 257984
check h2 38.247673 259008
check h23 39.984822 256960
cmp h12/model.safetensors both/model.safetensors
"$mega" heads prune h23 again --remove 1.3 >/dev/null 2>err && grep -q 'layer 1 head 3 was removed before' err || fail "said: $(cat err)"
cmp h23/model.safetensors again/model.safetensors
grep -q '"kept_heads": "all; 0 1 4-7; all; all; all"' h23/config.json
refused 1 "cannot have heads that were removed" "$mega" convert h23 x --to hf
refused 1 "cannot have gates of heads" "$mega" convert a x --to hf
[[ ! -e x ]] || fail "a refusal left something behind"
cp s/config.json h23/
refused 1 "tensor sub.2.attn.q.weight is [48, 64] F32, expected [64, 64] F32" "$mega" score h23 text
