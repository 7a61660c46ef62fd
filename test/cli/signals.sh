#!/usr/bin/env bash
# Signals save and leave with status 75, in training and in validation; a second one does no harm (case A18).
source "$(dirname "$0")/lib.sh"
"$mega" data listops --out data --train 200 --valid 1500 --test 1 --min-length 20 --max-length 60 >/dev/null 2>&1
cat >r.yaml <<END
task: { name: listops, train: data/basic_train.tsv, valid: data/basic_val.tsv }
model: { layers: 4, width: 32, values: 48, keys: 16, ffn: 64, ema: 8, longest: 64, head_width: 16, dropout: 0.1 }
optim: { lr: 1e-3, steps: 6 }
train: { batch: 8, validate_every: 3, valid_batch: 8, keep: 0 }
END
"$mega" train r.yaml --run whole -q

# SIGNAL WAIT [SIGNAL]: sends them to a run and expects what is documented
try() {
    rm -rf run
    "$mega" train r.yaml --run run >out 2>err &
    local pid=$! status=0
    until [[ -s run/log.jsonl ]] && (($(wc -l <run/log.jsonl) >= $2)); do
        kill -0 $pid || fail "$1: the run ended before $2 lines: $(cat err)"
        sleep 0.02
    done
    sleep 0.15
    kill "-$1" $pid
    [[ -z ${3:-} ]] || { sleep 0.1; kill "-$3" $pid 2>/dev/null || true; }
    wait $pid || status=$?
    [[ $status == 75 ]] || fail "$1 after $2 lines: status $status: $(cat err)"
    grep -q "stopped by SIG$1.* to go on: mega train --run run --resume auto" err || fail "$(cat err)"
    "$mega" train --run run --resume auto -q
    [[ $(model_of whole 6) == "$(model_of run 6)" ]] || fail "$1: another model"
    diff <(plain_log whole) <(plain_log run) || fail "$1: another log"
}
try TERM 1
try TERM 3
try USR1 3
try INT 3 INT
try TERM 3 TERM
