#!/usr/bin/env bash
# A resumed run ends in the same bytes: at an epoch's edge, inside accumulation, after kills at random moments (case A03); changed
# recipes (case A07). KILLS: how many times to kill (5).
source "$(dirname "$0")/lib.sh"

# 48 rows in batches of 4 are 12 updates an epoch: update 12 is the edge
tiny "$cases/a03_48rows.tsv" | sed 's/steps: 12/steps: 24/; s/validate_every: 6/validate_every: 0/; s/save_every: 6/save_every: 0/' >a.yaml
"$mega" train a.yaml --run a -q
refused 75 "to go on: mega train --run b --resume auto" "$mega" train a.yaml --run b --stop-after 12
OMP_NUM_THREADS=1 "$mega" train --run b --resume auto -q
same_run a b 24
# 50 rows, 3 passes an update: 5 updates an epoch, the last of one pass
tiny "$cases/a05_50rows.tsv" | sed 's/steps: 12/steps: 20/; s/batch: 4/batch: 4, accumulate: 3/' >c.yaml
"$mega" train c.yaml --run c -q
for threads in 1 2 3; do
    refused 75 "stopped by --stop-after after update 7" "$mega" train c.yaml --run "d$threads" --stop-after 7
    OMP_NUM_THREADS=$threads "$mega" train --run "d$threads" --resume auto -q
    same_run c "d$threads" 20
done

# killed at random moments, some inside the writing of a checkpoint
export MEGA_THREADS=1
tiny "$cases/a05_50rows.tsv" | sed 's/steps: 12/steps: 200/; s/save_every: 6/save_every: 3/; s/keep: 0/keep: 3/; s/validate_every: 6/validate_every: 50/' >k.yaml
"$mega" train k.yaml --run k -q
RANDOM=7
for ((i = 0; i < ${KILLS:-5}; i++)); do
    "$mega" train k.yaml --run killed --resume auto -q 2>/dev/null &
    pid=$!
    sleep "0.$(printf %03d $((RANDOM % 120 + 5)))"
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
done
"$mega" train k.yaml --run killed --resume auto -q
same_run k killed 200
! compgen -G "killed/*.part" || fail "remains of broken writes"

# A07: what a resumed run may change
tiny "$cases/a06_7rows.tsv" >s.yaml
stopped() { rm -rf s && refused 75 "" "$mega" train s.yaml --run s --stop-after 4; }
stopped
"$mega" train --run s --resume auto --set optim.lr=5e-4 2>err
grep -q 'resumed with optim.lr: 0.0005 instead of 0.003' err || fail "$(cat err)"
grep -q '"was": "0.003"' s/manifest.json && grep -q 'lr: 0.0005' s/recipe.full.yaml || fail "an obeyed change is not written down"
stopped
refused 1 "cannot resume with train.batch: 2: the run began with 4" "$mega" train --run s --resume auto --set train.batch=2
refused 1 "cannot resume with seed: 9: the run began with 1" "$mega" train --run s --resume auto --set seed=9
refused 1 "cannot resume with model.width: 24" "$mega" train --run s --resume auto --set model.width=24 --force
"$mega" train --run s --resume auto --set train.log_every=1 -q
stopped
"$mega" train --run s --resume auto --set optim.steps=15 2>err
grep -q 'optim.steps: 15 instead of 12 (the learning rate may jump)' err || fail "$(cat err)"
stopped
was=$(sed -n 's/^  precision: //p' s/recipe.full.yaml)
[[ $was == float32 ]] && now=bf16 || now=float32
"$mega" train --run s --resume auto --set train.precision=$now 2>err
grep -q "resumed with train.precision: $now instead of $was" err || fail "$(cat err)"
cp "$cases/a06_7rows.tsv" rows.tsv
tiny rows.tsv >s.yaml
stopped
tail -n +2 "$cases/a15_lengths.tsv" >>rows.tsv
refused 1 "the train data are not those that this run began with" "$mega" train --run s --resume auto

# a kill in the middle of a beginning, or right after a checkpoint became whole, leaves nothing to mend by hand
mkdir begun && cp k/recipe.yaml k/manifest.json begun && touch begun/recipe.full.yaml.part
"$mega" train k.yaml --run begun --resume auto -q
same_run k begun 200
best=$(readlink begun/best)
rm begun/best begun/latest begun/step-000200/reference.safetensors
"$mega" train --run begun --resume auto -q
[[ $(readlink begun/best) == "$best" && $(readlink begun/latest) == step-000200 ]] || fail "links are not mended"
"$mega" verify begun/latest >/dev/null
mkdir other && touch other/file
refused 1 "is not empty" "$mega" train k.yaml --run other --resume auto
refused 1 "holds no run to go on with" "$mega" train --run other --resume auto
