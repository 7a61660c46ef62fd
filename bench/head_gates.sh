#!/usr/bin/env bash
# head_gates.sh [FOLDER]: heads closed by a trained L0 penalty, against the same number removed by importance, against small models from scratch.
#
# Two tasks: a language model of bytes (tinyshakespeare from MEGA_DATA, else ../shared/data), and an encoder that classifies ListOps
# (data made here). Of each a model with all heads is trained first. Then, for each of three coefficients and in equally many updates:
#   gates       its heads close under the penalty, the rest trains on; the closed ones are cut out
#   importance  as many heads go by ablation (judged anew after each step), the rest trains on
#   scratch     a new model with the heads that the gates left trains for all updates together
# Prints Markdown tables. A second call with the same FOLDER goes on where the first was stopped. MEGA: the program (build/mega).
# THREADS: 0 (all). BEFORE, AFTER: updates of the first language model (1000) and after it (600); lists are short and get three times
# as many. LANGUAGE, CLASSES: the coefficients. TASKS: "language classes".
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mega=${MEGA:-$root/build/mega} threads=${THREADS:-0} before=${BEFORE:-1000} after=${AFTER:-600}
data=$(cd "${MEGA_DATA:-$root/../shared/data}" && pwd)
[[ -e $data/lm/tinyshakespeare.txt.gz ]] || { echo "head_gates.sh: $data/lm/tinyshakespeare.txt.gz is missing: set MEGA_DATA" >&2; exit 1; }
if (($#)); then mkdir -p "$1" && cd "$1"; else cd "$(mktemp -d)" && trap 'rm -rf "$PWD"' EXIT; fi

# train NAME RECIPE UPDATES [KEY=VALUE...]: a run of this name, unless it is there and whole
train() {
    local name=$1 recipe=$2 updates=$3 keys=()
    shift 3
    for key in "optim.steps=$updates" "train.validate_every=$((updates / 4))" "train.save_every=$updates" "$@"; do keys+=(--set "$key"); done
    [[ -e $name.done ]] && return
    rm -rf "$name"
    "$mega" train "$recipe" --run "$name" -t "$threads" "${keys[@]}" >"$name.log" 2>&1 || { tail -3 "$name.log" >&2; exit 1; }
    touch "$name.done"
}

# prune MODEL OUT ARGUMENTS...: the model without some of its heads, unless it is there
prune() { [[ -e $2 ]] || "$mega" heads prune -t "$threads" "$@" >/dev/null 2>&1; }

now() { echo $((${EPOCHREALTIME/./} / 1000)); }
number() { sed -n "s/.*\"$1\": \([-0-9.e]*\).*/\1/p"; }
heads_of() { "$mega" heads importance "$1" --method weight --csv - 2>/dev/null | grep -c '^[0-9]'; }
parameters_of() { "$mega" inspect "$1" | grep -o '[0-9]* trainable' | cut -d' ' -f1; }
kept_of() { grep -o '"kept_heads": "[^"]*"' "$1/config.json" | cut -d'"' -f4; }

# quality RUN_OR_MODEL: on rows that nobody trained on
quality() {
    if [[ $task == language ]]; then "$mega" eval "$1" held.txt --length 256 -t "$threads" --json | number perplexity | xargs printf '%.3f'
    else "$mega" eval "$1" lists.tsv -t "$threads" --json | number accuracy | awk '{ printf "%.1f %%", 100 * $1 }'; fi
}

# speed RUN_OR_MODEL: milliseconds of a pass over the same rows, start of the program included, the best of 5
speed() {
    for _ in {1..5}; do
        local start=$(now)
        quality "$1" >/dev/null
        echo $(($(now) - start))
    done | sort -n | head -1
}

# study TASK RECIPE UNIT COEFFICIENT...: one table
study() {
    task=$1
    local recipe=$2 unit=$3 total=$((before + after))
    shift 3
    # no gates, no penalty: the recipe's own model otherwise
    local plain=(model.head_gates=none heads.penalty=0 heads.target=0 heads.finish=0 heads.keep=0 heads.begin=0)
    train "$task-all" "$recipe" "$before" "${plain[@]}" "${sets[@]}"
    train "$task-on" "$recipe" "$after" "${plain[@]}" "heads.from=$task-all/best" "${sets[@]}"
    local all
    all=$(heads_of "$task-all")

    echo
    echo "| coefficient | heads kept of $all | gates: $unit | importance | importance, not trained on | scratch | parameters | ms | times as fast |"
    echo "|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    local whole
    whole=$(speed "$task-on")
    echo "| none | $all | $(quality "$task-on") | | | | $(parameters_of "$task-on/best") | $whole | 1 |"
    for coefficient; do
        local gates=$task-gates-$coefficient cut=$task-cut-$coefficient
        train "$gates" "$recipe" "$after" "heads.from=$task-all/best" "heads.penalty=$coefficient" heads.target=0 heads.keep=0 heads.begin=0 \
            heads.rate=50 "heads.warmup=$((after / 4))" "heads.finish=$((after * 3 / 4))" "${sets[@]}"
        prune "$gates/latest" "$cut"
        local keep kept
        keep=$(heads_of "$cut") kept=$(kept_of "$cut")
        local chosen=$task-chosen-$keep scratch=$task-scratch-$coefficient
        prune "$task-all" "$chosen" --by ablation --keep "$keep" --step 2 --texts 100
        train "$task-importance-$keep" "$recipe" "$after" "${plain[@]}" "heads.from=$chosen" "model.kept_heads=$(kept_of "$chosen")" "${sets[@]}"
        train "$scratch" "$recipe" "$total" "${plain[@]}" "model.kept_heads=$kept" "${sets[@]}"
        local ms
        ms=$(speed "$cut")
        echo "| $coefficient | $keep | $(quality "$cut") | $(quality "$task-importance-$keep") | $(quality "$chosen") | $(quality "$scratch") | $(parameters_of "$cut") | $ms | $(awk "BEGIN { printf \"%.2f\", $whole / $ms }") |"
    done
    echo
    echo "Kept, layer by layer: $(for coefficient; do echo "$coefficient: $(kept_of "$task-cut-$coefficient");;"; done | sed 's/;;$/./' | paste -sd' ')"
}

tasks=${TASKS:-language classes}
if [[ $tasks == *language* ]]; then
    # the last tenth is for the table, a twentieth of the rest for validation
    [[ -e learn.txt ]] || {
        gzip -dc "$data/lm/tinyshakespeare.txt.gz" >all.txt
        head -c 1000000 all.txt >learn.txt
        tail -c +1000001 all.txt >held.txt
    }
    sets=(task.train=[learn.txt] task.cache=none)
    echo "A language model of bytes, $before updates and then $after: perplexity on 115,394 bytes that nobody trained on."
    study language "$root/recipes/heads/close-heads.yaml" perplexity ${LANGUAGE:-0.3 0.8 2}
fi
if [[ $tasks == *classes* ]]; then
    [[ -e lists/basic_test.tsv ]] || "$mega" data listops --out lists --train 200000 --valid 1000 --test 4000 --min-length 6 --max-length 40 --seed 1 >/dev/null
    cp lists/basic_test.tsv lists.tsv
    sets=(task.train=lists/basic_train.tsv task.valid=lists/basic_val.tsv task.test=lists/basic_test.tsv model.longest=64)
    before=$((3 * before)) after=$((3 * after))
    echo "An encoder that classifies ListOps of 6 to 40 tokens, $before updates and then $after: accuracy on 4,000 lists that nobody trained on."
    study classes "$root/recipes/heads/listops.yaml" accuracy ${CLASSES:-0.1 0.5 2}
fi
