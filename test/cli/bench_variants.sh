#!/usr/bin/env bash
# mega bench variants: tables, names, going on, what fails; and every recipe of recipes/variants trains.
source "$(dirname "$0")/lib.sh"
recipes=$here/../../recipes/variants
seq 1 1500 | sed 's/$/ bottles of ink on the shelf/' >text.txt
mkdir own
cat >own/base.yaml <<'END'
task: { name: lm, train: [text.txt], length: 32 }
model: { decoder: transformer, layers: 1, width: 16, heads: 2, ffn: 24, longest: 32, positions: learned }
optim: { lr: 1e-3, steps: 4 }
train: { batch: 2, validate_every: 4, valid_batch: 2 }
END
sed 's/positions: learned/positions: none/' own/base.yaml >own/no-positions.yaml
sed 's/positions: learned/norm: rmsnorm/' own/base.yaml >own/rmsnorm.yaml

"$mega" bench variants --recipes own --list >out
diff out <(printf '%s\n' base no-positions rmsnorm)

"$mega" bench variants rmsnorm --recipes own --out runs --seeds 2 --csv t.csv --jsonl t.jsonl >out 2>err
grep -q '^| rmsnorm |' out
[[ $(grep -c '' t.csv) == 3 && $(grep -c '' t.jsonl) == 4 ]] || fail "two variants, two seeds: $(cat t.csv t.jsonl)"
grep -q '^base,2,' t.csv && grep -q '^rmsnorm,2,' t.csv || fail "$(cat t.csv)"
! grep -q 'no-positions' t.csv || fail "a variant that was not named"
[[ $(grep -c ': loss ' err) == 4 ]] || fail "$(cat err)"

# what is finished is not trained again, and what is new is added
"$mega" bench variants --recipes own --out runs --seeds 2 --markdown t.md --csv t.csv >out 2>err
[[ $(grep -c ': loss ' err) == 2 ]] || fail "trained again: $(cat err)"
[[ ! -s out && $(grep -c '^| [a-z-]* | [0-9]' t.md) == 3 ]] || fail "$(cat t.md)"

# the same numbers as mega train gives
"$mega" train own/rmsnorm.yaml --run alone --set seed=2 --quiet
cmp runs/rmsnorm-s2/latest/model.safetensors alone/latest/model.safetensors

# a variant that cannot be has a line that says so; the others are there
sed 's/positions: learned/kv_heads: 3/' own/base.yaml >own/crooked.yaml
refused 1 "trainings did not come to their end" "$mega" bench variants crooked --recipes own --out runs --seeds 1 --csv t.csv
grep -q '^crooked,0,.*kv_heads' t.csv || fail "$(cat t.csv)"
grep -q '^base,1,' t.csv
# nor does the line below the table count tokens of trainings that were none
mkdir broken
cp own/crooked.yaml broken/base.yaml
refused 1 "trainings did not come to their end" "$mega" bench variants --recipes broken --out none --seeds 1 --markdown t.md
grep -q 'no training was finished' t.md && ! grep -q -w nan t.md || fail "$(cat t.md)"
cp own/rmsnorm.yaml broken
refused 1 "trainings did not come to their end" "$mega" bench variants --recipes broken --out none --seeds 1 --markdown t.md
grep -q 'each for [1-9][0-9]* tokens' t.md || fail "$(cat t.md)"
refused 1 "there is no recipe own/nothing.yaml" "$mega" bench variants nothing --recipes own --out runs
refused 1 "there is no folder nowhere" "$mega" bench variants --recipes nowhere

# every recipe that comes with the program, one update of a small model
"$mega" bench variants --recipes "$recipes" --out all --seeds 1 --steps 1 --csv all.csv --set task.train=text.txt \
    --set task.length=32 --set train.batch=1 --set train.valid_batch=1 --set task.hold_out=0.002 >out 2>err || fail "$(grep -v ': loss' err)"
names=("$recipes"/*.yaml)
[[ $(grep -c '' all.csv) == $((${#names[@]} + 1)) ]] || fail "not every recipe has a row"
