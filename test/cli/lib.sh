# What the command-line tests share. Run as: MEGA=path/to/mega test/cli/<name>.sh
set -Eeuo pipefail
trap 'echo "FAILED: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR
mega=${MEGA:?}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cases=$here/../cases
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# refused STATUS TEXT COMMAND...: the command ends with this status and one message that holds the text
refused() {
    local want=$1 text=$2 status=0
    shift 2
    "$@" >out 2>err || status=$?
    [[ $status == "$want" ]] || fail "$* ended with $status, expected $want: $(cat err)"
    grep -qF -- "$text" err || fail "$* said: $(cat err); expected: $text"
}

# tiny FILE: a recipe of a small ListOps model over one file of rows
tiny() {
    cat <<END
task: { name: listops, train: "$1", valid: "$1" }
model: { layers: 2, width: 12, values: 10, keys: 4, ffn: 14, ema: 3, longest: 64, chunk: 8, head_width: 9, dropout: 0.1 }
optim: { lr: 3e-3, steps: 12 }
train: { batch: 4, validate_every: 6, save_every: 6, keep: 0 }
END
}

model_of() { sha256sum <"$1/step-$(printf %06d "$2")/model.safetensors"; }

# log lines of a run without what depends on the clock
plain_log() { sed 's/, "seconds".*//' "$1/log.jsonl"; }

# the tags of a run's TensorBoard events, in order
events() { grep -aoE '(train|valid)/[a-z_]+' "$1"/events.out.tfevents.*; }

# same_run RUN RUN STEPS: equal final models, equal logs, one line an update
same_run() {
    [[ $(model_of "$1" "$3") == "$(model_of "$2" "$3")" ]] || fail "$2 ends in another model than $1"
    diff <(plain_log "$1") <(plain_log "$2") >differences || fail "$2 has another log than $1: $(head differences)"
    [[ $(grep -c '"kind": "train"' "$2/log.jsonl") == "$3" ]] || fail "$2: not one line an update"
    cmp <(events "$1") <(events "$2") || fail "$2 has other TensorBoard events than $1"
}
