#!/usr/bin/env bash
# Signals save and leave with status 75, wherever they meet a run; a second one does no harm (case A18).
source "$(dirname "$0")/lib.sh"
export MEGA_THREADS=1
"$mega" data listops --out data --train 200 --valid 8000 --test 1 --min-length 20 --max-length 60 >/dev/null 2>&1
cat >r.yaml <<END
task: { name: listops, train: data/basic_train.tsv, valid: data/basic_val.tsv }
model: { layers: 2, width: 16, values: 24, keys: 8, ffn: 32, ema: 4, longest: 64, head_width: 16, dropout: 0.1 }
optim: { lr: 1e-3, steps: 6 }
train: { batch: 8, validate_every: 3, save_every: 1, valid_batch: 1, keep: 0 }
END
"$mega" train r.yaml --run whole -q

# starts a run and waits until a condition about its folder holds
start_until() {
    rm -rf run
    "$mega" train r.yaml --run run >out 2>err &
    pid=$!
    until eval "$1"; do kill -0 $pid 2>/dev/null || break; done
}

# left SIGNAL: the run has ended as documented and, resumed, ends like the whole one
left() {
    local status=0
    wait $pid || status=$?
    [[ $status == 75 ]] || fail "$1: status $status: $(cat err)"
    tail -n 1 err | grep -q "stopped by $1 .* to go on: mega train --run run --resume auto" || fail "$(cat err)"
    "$mega" train --run run --resume auto -q
    same_run whole run 6
}

lines() { [[ -e run/log.jsonl ]] && (($(wc -l <run/log.jsonl) >= $1)); }
validated() { grep -q '"kind": "valid"' run/log.jsonl; }

# in the first update
start_until '[[ -e run/manifest.json ]]'
kill -TERM $pid
left SIGTERM

# in the middle of a validation, which is cut off and run again
for signal in TERM USR1 INT; do
    start_until 'lines 3'
    kill -$signal $pid
    while kill -0 $pid 2>/dev/null; do sleep 0.01; done
    ! validated || fail "SIG$signal waited for the validation"
    left SIG$signal
done

# a validation that was run again is told once, even if the run is stopped before its next checkpoint
start_until 'lines 3'
kill -TERM $pid
wait $pid || true
refused 75 "stopped by --stop-after after update 3" "$mega" train --run run --resume auto --stop-after 3 -q
"$mega" train --run run --resume auto -q
same_run whole run 6

# a second one
for signal in TERM INT; do
    start_until 'lines 3'
    kill -$signal $pid
    kill -$signal $pid 2>/dev/null || true
    sleep 0.1
    kill -$signal $pid 2>/dev/null || true
    left SIG$signal
done

# while a checkpoint is being written
start_until 'compgen -G "run/step-*.part" >/dev/null'
kill -TERM $pid
left SIGTERM
