#!/usr/bin/env bash
# Gates of other units than query heads: trained, resumed, logged, cut away; what is refused.
source "$(dirname "$0")/lib.sh"
seq 1 900 | sed 's/$/ bottles of ink on the shelf/' >text.txt
cat >common <<'END2'
task: { name: lm, tokenizer: bytes, train: text.txt, cache: none, length: 32 }
optim: { lr: 3e-3, steps: 24, schedule: constant, weight_decay: 0.1 }
train: { batch: 8, accumulate: 2, validate_every: 12, save_every: 12, keep: 0 }
END2
loss() { "$mega" eval "$1" text.txt | grep -o 'loss [0-9.]*'; }
same_loss() { # GATED SMALL
    awk -v a="$(loss "$1" | cut -d' ' -f2)" -v b="$(loss "$2" | cut -d' ' -f2)" 'BEGIN { d = a - b; exit !(d < 2e-5 && d > -2e-5) }' ||
        fail "$(loss "$1") with gates, $(loss "$2") without"
}
closed() { # RUN KIND: some of its gates are 0 at the end
    grep -o "\"$2\": \[\[[^}]*" "$1/log.jsonl" | tail -1 | grep -Eq '[[ ]0[],]' || fail "$1: nothing closed: $(tail -1 "$1/log.jsonl")"
}

# a Megalodon: heads, or attention as a whole
model='decoder: megalodon, layers: 3, width: 16, values: 16, keys: 8, heads: 2, ffn: 16, ema: 2, chunk: 8, groups: 2, gate_init: 0'
{ cat common; echo "model: { $model, head_gates: concrete }"; echo 'heads: { penalty: 0.3, rate: 60, finish: 20, keep: 2 }'; } >megalodon.yaml
"$mega" train megalodon.yaml --run a -q
"$mega" train megalodon.yaml --run b -q --stop-after 12 || [[ $? == 75 ]]
"$mega" train megalodon.yaml --run b -q --resume auto
same_run a b 24
grep -q '"expected_heads": .*"active_heads": .*"expected_cost": .*"active_cost": ' a/log.jsonl || fail "the log says nothing of costs"
"$mega" heads importance a --method gates >said
"$mega" heads importance a text.txt --method gradient --texts 2 >said
"$mega" heads prune a a2 >said
grep -q '^a2: 2 of 6 heads, ' said || fail "prune said: $(cat said)"
same_loss a a2
"$mega" heads prune a2 a1 text.txt --by ablation --keep 1 --texts 4 >said 2>err
grep -q '^a1: 1 of 2 heads, ' said || fail "prune said: $(cat said)"
"$mega" generate a1 --prompt 1 --tokens 8 --temperature 0 >/dev/null
{ cat common; echo "model: { $model, branch_gates: concrete }"; echo 'heads: { penalty: 0.3, rate: 60, finish: 20, keep: 1 }'; } >branches.yaml
"$mega" train branches.yaml --run c -q
closed c branch_gates
grep -q '"expected_branches": ' c/log.jsonl || fail "the log says nothing of branches"
"$mega" heads prune c c1 >said
grep -q '^c1: 2 of 6 heads, .*kept: .*-' said || fail "prune said: $(cat said)"
same_loss c c1
refused 1 "head_gates does not go with branch_gates" "$mega" train branches.yaml --run x --set model.head_gates=concrete
refused 1 "has no attention heads to be told apart" "$mega" heads maps a text.txt --length 8
refused 1 "layer 0 block 1: the model has layers 0 ... 2 of blocks 0 ... 0" "$mega" heads prune a x --channels 0.1

# Mega: a head is a block's attention
{ cat common; echo 'model: { decoder: mega, layers: 3, width: 16, values: 16, keys: 8, ffn: 16, ema: 2, chunk: 8, branch_gates: concrete, gate_init: 0 }'
    echo 'heads: { penalty: 0.3, rate: 60, finish: 20, keep: 1 }'; } >mega.yaml
"$mega" train mega.yaml --run d -q
"$mega" heads prune d d1 >said
grep -q '^d1: 1 of 3 heads, ' said || fail "prune said: $(cat said)"
same_loss d d1
"$mega" heads prune d1 d0 --remove "$(sed -n 's/.*"kept_heads": "\(.*\)",/\1/p' d1/config.json | awk -F'; ' '{ for (i = 1; i <= NF; i++) if ($i == "all") print i - 1 ".0" }')" >said
grep -q '^d0: 0 of 1 heads, .*kept: -; -; -' said || fail "prune said: $(cat said)"
"$mega" generate d0 --prompt 1 --tokens 8 --temperature 0 >/dev/null
# fixed gates of blocks, and a trained model that gets gates
sed -e 's/branch_gates: concrete/branch_gates: fixed/' -e 's/^heads: .*/heads: { open: ["1", "0", "0.5"] }/' mega.yaml >fixed.yaml
"$mega" train fixed.yaml --run f -q
"$mega" heads importance f --method gates --json | grep -qF '"gate": [[1], [0], [0.5]]' || fail "fixed gates moved"
"$mega" train mega.yaml --run g -q --set heads.from=d1 --set model.kept_heads="$(sed -n 's/.*"kept_heads": "\(.*\)",/\1/p' d1/config.json)"

# groups and channels of a Transformer, each by its cost
{ cat common; cat <<'END2'
model: { decoder: transformer, layers: 2, width: 16, heads: 4, kv_heads: 2, ffn: 32, positions: learned, longest: 32, attention_bias: true,
    group_gates: concrete, head_gates: concrete, channel_gates: concrete, channel_block: 8, gate_init: 0 }
heads: { average: cost, target: 0.6, target_rate: 1, rate: 60 }
END2
} >units.yaml
"$mega" train units.yaml --run u -q 2>err
"$mega" train units.yaml --run v -q --stop-after 12 2>err || [[ $? == 75 ]]
"$mega" train units.yaml --run v -q --resume auto 2>err
same_run u v 24
for kind in heads groups channel_blocks cost; do
    grep -q "\"expected_$kind\": " u/log.jsonl || fail "the log says nothing of $kind"
done
grep -q '"gates": \[\[.*"group_gates": \[\[.*"channel_gates": \[\[' u/log.jsonl || fail "the log has no gates of groups and channels"
closed u channel_gates
"$mega" heads prune u u1 >said 2>err
grep -q ' blocks of channels, .*; kept: .*; channels: ' said || fail "prune said: $(cat said)"
grep -q '"kept_channels": "' u1/config.json
same_loss u u1
"$mega" heads prune u u2 --json --channels 0.0,1.1 >said 2>err
grep -q '"kept_channels": ' said || fail "prune said: $(cat said)"
"$mega" generate u2 --prompt 1 --tokens 8 --temperature 0 >/dev/null
# the L2 part of the penalty, with blocks that come again or not
l2=(--set heads.target=0 --set heads.penalty=0.2 --set heads.l2=1e-3)
"$mega" train units.yaml --run l -q "${l2[@]}"
"$mega" train units.yaml --run m -q "${l2[@]}" --set model.recompute=block --stop-after 12 || [[ $? == 75 ]]
"$mega" train units.yaml --run m -q "${l2[@]}" --set model.recompute=block --resume auto
same_run l m 24
"$mega" train units.yaml --run n -q "${l2[@]}" --set heads.l2=0
awk -v a="$(grep -o '"penalty": [0-9.e-]*' l/log.jsonl | head -1 | cut -d' ' -f2)" -v b="$(grep -o '"penalty": [0-9.e-]*' n/log.jsonl | head -1 | cut -d' ' -f2)" \
    'BEGIN { exit !(a > b) }' || fail "squares cost nothing"
refused 1 "heads.l2 is a part of heads.penalty, which is 0" "$mega" train units.yaml --run x --set heads.l2=1
refused 1 "heads.keep does not go with both head_gates and group_gates" "$mega" train units.yaml --run x --set heads.finish=5 --set heads.keep=2
refused 1 "has no whole blocks of 5" "$mega" train units.yaml --run x --set model.channel_block=5
refused 1 "cannot have the option" "$mega" convert u1 x --to hf
refused 1 "layer 9 block 0: the model has layers 0 ... 1 of blocks 0 ... 3" "$mega" heads prune u1 x --channels 9.0
[[ ! -e x && ! -e x.part ]] || fail "a refusal left something behind"
