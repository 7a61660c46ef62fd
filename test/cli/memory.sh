#!/usr/bin/env bash
# A dry run knows the peak of the real one within 5 %; recompute: auto stays within its budget and changes no bit.
source "$(dirname "$0")/lib.sh"
! grep -qa __asan_init "$mega" || exit 77 # a sanitizer takes memory of its own

for ((i = 0; i < 24; i++)); do
    printf '%d\t' $((i % 2))
    head -c 1500 /dev/zero | tr "\\0" a
    echo
done >rows.tsv
cat >r.yaml <<END
task: { name: text, train: rows.tsv, valid: rows.tsv, label_column: 1, text_column: 2 }
model: { layers: 4, width: 64, values: 128, keys: 32, ffn: 128, chunk: 128, longest: 1500, dropout: 0.1 }
optim: { lr: 1e-3, steps: 3 }
train: { batch: 8, valid_batch: 8, precision: float32 }
END

predicted() { "$mega" train --dry-run r.yaml "$@" >dry && sed -n 's/^  in all .* \([0-9]*\) MiB$/\1/p' dry; }
# trained RUN SETTING...: the peak of a real run
trained() {
    local run=$1
    shift
    "$mega" train r.yaml --run "$run" "$@" 2>said || fail "$(cat said)"
    sed -n 's/^done: .*, \([0-9]*\) MiB; .*/\1/p' said
}
near() { (($2 * 100 <= $1 * 105 && $2 * 100 >= $1 * 95)) || fail "$3: predicted $1 MiB, took $2 MiB"; }

kept=$(predicted)
near "$kept" "$(trained kept)" "all kept"
every=$(predicted --set model.recompute=block)
near "$every" "$(trained every --set model.recompute=block)" "every block recomputed"
cheap=$(predicted --set model.recompute=cheap)
near "$cheap" "$(trained cheap --set model.recompute=cheap)" "cheap ops recomputed"
# what cheap ops make is not kept anyway where they go over rows together
((every < cheap && cheap <= kept)) || fail "recomputing saves too little: $kept, $cheap, $every MiB"

# activations in bfloat16: less, and said aloud; evaluation follows the run
half=$(predicted --set train.precision=bf16)
near "$half" "$(trained half --set train.precision=bf16)" "bfloat16"
((half * 5 < kept * 4)) || fail "bfloat16 saves too little: $half of $kept MiB"
grep -q '^  precision: bf16$' half/recipe.full.yaml
"$mega" train --dry-run r.yaml --set train.precision=auto >full && grep -qE '^  precision: (float32|bf16)$' full
MEGA_ISA=base "$mega" eval half >score 2>note && grep -q 'precision: bf16' note || fail "$(cat note)"
MEGA_ISA=base "$mega" eval half --precision float32 >score 2>note && ! grep -q 'precision' note || fail "$(cat note)"
"$mega" verify half/latest >/dev/null

# a budget in between is kept, by some blocks
budget=$(((cheap + every) / 2))
auto=(--set model.recompute=auto --set "train.memory=$budget")
near "$(predicted "${auto[@]}")" "$(trained auto "${auto[@]}")" "recompute: auto"
grep -qE '[123] of 4 blocks are recomputed, and cheap ops in the others' dry || fail "$(cat dry)"
grep -qE '[123] of 4 blocks are recomputed' said || fail "$(cat said)"
(($(predicted "${auto[@]}") <= budget))
for run in cheap every auto; do
    [[ $(model_of kept 3) == "$(model_of $run 3)" ]] || fail "$run trains another model"
done
refused 1 "train.memory allows 20 MiB" "$mega" train --dry-run r.yaml --set model.recompute=auto --set train.memory=20
refused 1 "train.memory allows 20 MiB" "$mega" train r.yaml --run never --set model.recompute=auto --set train.memory=20
[[ ! -e never ]]

# as it once was: a yes or no
"$mega" train --dry-run r.yaml --set model.recompute=true >full && grep -q '^  recompute: block$' full
"$mega" train --dry-run r.yaml --set model.recompute=false >full && grep -q '^  recompute: none$' full
sed -i 's/"recompute": "none"/"recompute": false/' kept/step-000003/config.json
grep -q '"recompute": false' kept/step-000003/config.json
"$mega" eval kept/step-000003 rows.tsv >score || fail "a model folder of before is not read"
refused 1 "expected one of none|cheap|block|auto" "$mega" train --dry-run r.yaml --set model.recompute=some
