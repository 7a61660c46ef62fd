#!/usr/bin/env bash
# Exit statuses, help, unknown words with the nearest one, a full standard output.
source "$(dirname "$0")/lib.sh"

refused 2 "Usage: mega COMMAND" "$mega"
refused 2 "unknown command 'trian', did you mean train?" "$mega" trian
refused 2 "unknown option --bacth, did you mean --batch?" "$mega" eval x --bacth 3
refused 2 "--batch needs a value" "$mega" eval x --batch
refused 2 "eval needs RUN_OR_MODEL" "$mega" eval
refused 2 "expected a whole number from 1" "$mega" eval x --batch 0
refused 1 "there is no run or model folder nothing" "$mega" eval nothing
refused 1 "train needs a RECIPE" "$mega" train
refused 1 "MEGA_THREADS is 'two', expected a number from 1" env MEGA_THREADS=two "$mega" doctor
refused 1 "rooms 'cpu,gpu': expected cpu" env MEGA_ROOMS=cpu,gpu "$mega" doctor
[[ $("$mega" --version) == mega\ [0-9]* ]]
for command in train eval predict generate score fill "data listops" report "tokenizer train" "tokenizer encode" "tokenizer decode" "tokenizer info" inspect verify average convert "bench models" "bench context" "bench ops" "bench step" "bench variants" doctor help; do
    # shellcheck disable=SC2086 # a command may be two words
    "$mega" help $command >page && grep -q "^Usage: mega $command" page || fail "no help on $command"
    # shellcheck disable=SC2086
    "$mega" help --man $command >page && grep -q '^.TH MEGA-' page || fail "no man page of $command"
done
"$mega" help --completion bash | bash -n
"$mega" help recipe >page && grep -q 'warmup' page || fail "mega help recipe lacks keys"
for words in "help" "help recipe" "help --markdown" "doctor" "--version"; do
    # shellcheck disable=SC2086
    refused 1 "cannot write standard output" bash -c "$mega $words >/dev/full"
done

# the reference pages are what the tables say
docs=$here/../../docs/reference
"$mega" help --markdown | diff -u "$docs/commands.md" - || fail "docs/reference/commands.md: print it anew with: mega help --markdown"
"$mega" help variants --markdown | diff -u "$docs/variants.md" - || fail "docs/reference/variants.md: print it anew with: mega help variants --markdown"
"$mega" help variants >page && [[ $(grep -c '' page) -gt 60 ]] || fail "mega help variants lacks variants"
"$mega" help variants t5-bias >page && grep -q 'rel_pos_buckets' page || fail "no page of t5-bias"
"$mega" help --man variants >page && grep -q '^.TH MEGA-VARIANTS 7' page || fail "no man page of variants"
"$mega" help presets --markdown | diff -u "$docs/presets.md" - || fail "docs/reference/presets.md: print it anew with: mega help presets --markdown"
"$mega" help presets | grep -q '^llama2 .* 6738415616 ' || fail "mega help presets does not count Llama 2"
"$mega" help presets mistral >page && grep -q 'max_attend_past: 4095' page && grep -q 'ffn: 14336' page && ! grep -q 11008 page || fail "$(cat page)"
refused 2 "no preset 'gpt3', the nearest is gpt2" "$mega" help presets gpt3
refused 2 "no variant 'aliby', the nearest is alibi" "$mega" help variants aliby
"$mega" help recipe --markdown | diff -u "$docs/recipe.md" - || fail "docs/reference/recipe.md: print it anew with: mega help recipe --markdown"
