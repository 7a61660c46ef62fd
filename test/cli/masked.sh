#!/usr/bin/env bash
# Masked language models by a WordPiece vocabulary: training, measuring by fixed masks, filling, there and back to Hugging Face's
# files; presets in recipes; what is refused.
source "$(dirname "$0")/lib.sh"
for _ in $(seq 1 30); do
    printf 'The %s says %s.\n' cat miau dog wuff cow muh hen gackgack
done >text.txt
mkdir bert-vocab
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' the cat dog cow hen says miau wuff muh gack '##gack' . >bert-vocab/vocab.txt
echo '{ "do_lower_case": true }' >bert-vocab/tokenizer_config.json
cat >m.yaml <<'END'
task: { name: masked_lm, train: [text.txt], tokenizer: bert-vocab, format: lines, rows: document, length: 12, hold_out: 0.2 }
model: { preset: bert, layers: 2, width: 32, heads: 2, ffn: 64, longest: 12, dropout: 0, attention_dropout: 0 }
optim: { lr: 5e-3, steps: 300 }
train: { batch: 16, validate_every: 100 }
END

[[ $("$mega" tokenizer info bert-vocab) == *"WordPiece, lower case"* ]] || fail "$("$mega" tokenizer info bert-vocab)"
[[ $(echo -n 'The hen says GACKGACK.' | "$mega" tokenizer encode bert-vocab --frame | tr '\n' ' ') == "2 5 9 10 14 15 16 3 " ]]

# a dry run shows what the preset fills
"$mega" train --dry-run m.yaml >full
for key in 'placement: post' 'type_emb: 2' 'norm_eps: 1e-12' 'pooler: false' 'width: 32' 'mask_share: 0.15'; do
    grep -q "^  $key\$" full || fail "the dry run does not show $key"
done
grep -q 'in all .* 19281$' full || fail "$(grep 'in all' full)"

"$mega" train m.yaml --run a -q
"$mega" train a/recipe.full.yaml --run b -q
cmp a/recipe.full.yaml b/recipe.full.yaml
[[ $(model_of a 300) == "$(model_of b 300)" ]] || fail "the full recipe trains another model"
"$mega" train m.yaml --run c -q --stop-after 40 && fail "a run that is stopped ends well" || [[ $? == 75 ]]
"$mega" train --run c --resume auto -q
same_run a c 300
grep -q '"kind": "valid".*"accuracy": ' a/log.jsonl || fail "no accuracy in the log"
"$mega" verify a | grep -q 'rows agree'

# the tokens that are hidden do not depend on the batch, nor on the day
"$mega" eval a text.txt -b 1 >one
"$mega" eval a text.txt -b 50 >other
cmp one other || fail "$(cat one other)"
[[ $(<one) =~ ^120\ masked\ tokens\ in\ 120\ rows:\ loss ]] || fail "$(<one)"
"$mega" eval a --json | grep -q '"masked": 24, ' || fail "$("$mega" eval a --json)"
refused 1 "task.evaluate is of language models that read from left to right" "$mega" eval a text.txt --context stream

# packed rows: documents beside each other, framed and hidden as each would be alone, that do not see each other
sed 's/rows: document, length: 12/rows: packed, length: 24/; s/longest: 12/longest: 24/; s/batch: 16/batch: 4/; s/steps: 300/steps: 40/' m.yaml >packed.yaml
"$mega" train packed.yaml --run packed -q
"$mega" train packed.yaml --run again -q --stop-after 15 || [[ $? == 75 ]]
"$mega" train --run again -q --resume auto
same_run packed again 40
"$mega" verify packed | grep -q 'rows agree'
cp -r packed unpacked && sed -i 's/rows: packed/rows: document/' unpacked/recipe.full.yaml
"$mega" eval packed text.txt >one
"$mega" eval unpacked text.txt >other
grep -q '^120 masked tokens in 40 rows' one && grep -q '^120 masked tokens in 120 rows' other || fail "$(cat one other)"
awk '{ if (n++ && (d = $8 - loss) * d > 1e-10) exit 1; loss = $8 }' one other || fail "packed $(<one), alone $(<other)"
"$mega" heads importance packed text.txt --texts 2 --method relevance >/dev/null
"$mega" heads maps packed text.txt | grep -q '^{"tokens": \["\[CLS\]", "the", "cat", "[^"]*", "[^"]*", "[^"]*", "\[SEP\]"\]' || fail "a packed document is not looked at by itself"

# what it learned; the same from standard input, and as JSON
"$mega" fill a 'The dog says [MASK].' >said
head -1 said | grep -qP '^1\t0\.[7-9]\d*\twuff\tthe dog says wuff\.$' || fail "$(<said)"
[[ $(wc -l <said) == 5 ]]
printf 'The dog says [MASK].\nthe [MASK] says miau.\n' | "$mega" fill a -n 1 >lines
[[ $(head -1 lines) == "$(head -1 said)" ]]
tail -1 lines | grep -qP '^1\t0\.\d+\tcat\tthe cat says miau\.$' || fail "$(<lines)"
"$mega" fill a 'the [MASK] says [MASK].' --json -n 2 | grep -q '"masks": \[{"place": 2, .*{"place": 4, ' || fail "$("$mega" fill a 'the [MASK] says [MASK].' --json -n 2)"
refused 1 "the text has no [MASK]: expected one" "$mega" fill a 'the dog says wuff'
refused 1 "the text has 15 tokens, the model takes 12" "$mega" fill a 'the the the the the the the the the the the the [MASK]'
refused 1 "line 2: the text has no [MASK]" "$mega" fill a < <(printf '[MASK] says\nthe\n')
refused 1 "mega fill uses it" "$mega" predict a text.txt
refused 1 "a masked language model writes no text: mega fill and mega eval use it" "$mega" generate a --prompt x

# its heads: what they matter and do, with all methods; without some of them an ordinary folder
for method in gradient ablation confidence weight relevance functions; do
    "$mega" heads importance a text.txt --texts 3 --method $method --csv - >table || fail "no importance by $method"
    [[ $(wc -l <table) == 5 ]] || fail "importance by $method is $(<table)"
done
"$mega" heads importance a text.txt --texts 5 --method relevance --csv - >table
awk -F, 'NR > 1 { sum[$1] += $3 } END { exit sum[0] < 0.999 || sum[0] > 1.001 || sum[1] < 0.999 || sum[1] > 1.001 }' table || fail "shares are $(<table)"
printf '%s\t%s\t_\t_\t_\t_\t%s\t%s\t_\t_\n' 1 The 2 det 2 cat 3 nsubj 3 says 0 root 4 gackgack 3 obj >s.conllu
"$mega" heads importance a --method syntax --conllu s.conllu 2>shown >/dev/null
grep -q '^nsubj: 1 pairs' shown && grep -q '^obj_back: 1 pairs' shown || fail "syntax says: $(<shown)"
"$mega" heads maps a text.txt --relevance >shown
grep -q '^{"tokens": \["\[CLS\]", "the", "cat", .*"hidden": \[[1-5]\], "relevance": \[\[' shown || fail "maps shown: $(<shown)"
"$mega" heads report a text.txt --texts 4 --show 2 --relevance --ablation --removal 2 --conllu s.conllu --out heads.html >/dev/null
grep -q 'told: ' heads.html && grep -q 'nats a hidden token' heads.html && grep -q '"hidden": ' heads.json || fail "the page is not of a masked model"
"$mega" heads prune a fewer --remove 0.1,1.0 | grep -q '^fewer: 2 of 4 heads' || fail "prune did not remove two heads"
"$mega" eval fewer text.txt | grep -q '^120 masked tokens in 120 rows: loss ' || fail "a model with fewer heads is not measured"
"$mega" fill fewer 'The dog says [MASK].' -n 1 | grep -q '^1.*the dog says ' || fail "a model with fewer heads fills nothing"
"$mega" heads prune a fewest text.txt --by gradient --keep 1 --texts 5 2>/dev/null | grep -q '^fewest: 1 of 4 heads' || fail "prune by gradient"
refused 1 "cannot have the option kept_heads" "$mega" convert fewer x --to hf
refused 1 "the model's heads have no gates" "$mega" heads prune a x

# gates that close while it learns; without closed heads it computes the same
sed 's/steps: 300/steps: 40/; s/dropout: 0,/dropout: 0, head_gates: concrete, channel_gates: concrete, channel_block: 16,/' m.yaml >gates.yaml
echo 'heads: { penalty: 0.3, rate: 30, finish: 30 }' >>gates.yaml
"$mega" train gates.yaml --run gated -q
grep -q '"expected_heads": .*"active_channel_blocks": ' gated/log.jsonl || fail "the log says nothing of gates"
"$mega" heads prune gated closed >shown 2>/dev/null
grep -q 'blocks of channels' shown || fail "prune shown: $(<shown)"
cmp <("$mega" eval gated text.txt) <("$mega" eval closed text.txt) || fail "$("$mega" eval gated text.txt) with gates, $("$mega" eval closed text.txt) without"
"$mega" train m.yaml --run on -q --set heads.from=fewer --set model.kept_heads="0; 1" --set optim.steps=2
refused 1 "heads.from: fewer: the model to start from has" "$mega" train m.yaml --run x -q --set heads.from=fewer --set optim.steps=2

# to Hugging Face's form, as it is and back
"$mega" convert a hf --to hf
[[ $(ls hf) == $'config.json\nmodel.safetensors\ntokenizer_config.json\nvocab.txt' ]] || fail "hf holds $(ls hf)"
"$mega" convert hf ours
cmp ours/model.safetensors a/best/model.safetensors || fail "there and back changed the weights"
"$mega" heads prune hf hf-fewer --remove 0.1,1.0 >/dev/null
cmp hf-fewer/model.safetensors fewer/model.safetensors || fail "from Hugging Face's form other heads go"
"$mega" heads importance hf text.txt --texts 2 --method relevance >/dev/null
for folder in hf ours; do
    "$mega" eval "$folder" text.txt >away
    grep -q 'masked tokens in' away || fail "$(<away)"
    "$mega" fill "$folder" 'The dog says [MASK].' >away
    cmp away said || fail "$folder fills otherwise: $(<away)"
done

# a tokenizer without a mask gets one behind its ids
sed 's/tokenizer: bert-vocab/tokenizer: bytes/; s/length: 12/length: 40/; s/longest: 12/longest: 40/; s/steps: 300/steps: 3/' m.yaml >bytes.yaml
"$mega" train bytes.yaml --run bytes -q
grep -q '"vocabulary": 257' bytes/latest/config.json
"$mega" fill bytes 'The [MASK]og' -n 2 --json | grep -q '"place": 4' || fail "bytes are not filled"

# other presets in recipes
sed 's/name: masked_lm/name: lm/; s/preset: bert/preset: gpt2/; s/steps: 300/steps: 2/; s/rows: document, length: 12/rows: none, length: 12/' m.yaml >gpt2.yaml
"$mega" train gpt2.yaml --run gpt2 -q
grep -q '^  decoder: transformer' gpt2/recipe.full.yaml && grep -q '^  activation: gelu_tanh' gpt2/recipe.full.yaml
"$mega" train gpt2.yaml --run llama -q --set model.preset=llama2
for preset in gpt2 llama; do
    "$mega" convert $preset $preset-hf --to hf
    "$mega" convert $preset-hf $preset-back
    cmp $preset-back/model.safetensors $preset/best/model.safetensors || fail "$preset there and back is another model"
    [[ $("$mega" score $preset text.txt --total) == "$("$mega" score $preset-back text.txt --total)" ]] || fail "$preset there and back scores otherwise"
done
"$mega" train gpt2.yaml --run mistral -q --set model.preset=mistral --set model.kv_heads=1
refused 1 "cannot have the option max_attend_past" "$mega" convert mistral x --to hf
refused 1 "model.preset: t5 reads one text and writes another: no task trains such a pair yet" "$mega" train --dry-run gpt2.yaml --set model.preset=t5
refused 1 "bert is an encoder: expected task masked_lm" "$mega" train --dry-run gpt2.yaml --set model.preset=bert
refused 1 "gpt2 is a decoder: expected task lm" "$mega" train --dry-run m.yaml --set model.preset=gpt2
refused 1 "model.next_sentence is true" "$mega" train --dry-run m.yaml --set model.pooler=true --set model.next_sentence=true
refused 1 "model.masked_head is false" "$mega" train --dry-run m.yaml --set model.masked_head=false
refused 1 "task.align is of language models" "$mega" train --dry-run m.yaml --set task.rows=packed --set task.align=4
refused 1 "task.mask_random is 0.6 and task.mask_keep 0.5" "$mega" train --dry-run m.yaml --set task.mask_random=0.6 --set task.mask_keep=0.5
refused 1 "the tokenizer frames a row by 2 tokens" "$mega" train --dry-run m.yaml --set task.length=2
"$mega" train --dry-run m.yaml --set train.metric=accuracy >/dev/null
"$mega" train m.yaml --run pooled -q --set optim.steps=1 --set model.pooler=true 2>err && grep -q 'pooler is true' err || fail "no doubt about the pooler: $(cat err)"
