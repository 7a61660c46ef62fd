#!/usr/bin/env bash
# Rows in, answers out: cases A01, A06, A11, A13, A15.
source "$(dirname "$0")/lib.sh"

# A01: labels, and the closing bracket is a token
status=0
"$mega" data listops --check "$cases/a01_listops.tsv" >out || status=$?
[[ $status == 1 ]] || fail "wrong labels end with $status"
grep -q ':5: the label is 7, the tree.s value 6' out && grep -q ':9: the label is 4, the tree.s value 3' out || fail "$(cat out)"
[[ $(wc -l <out) == 3 ]] || fail "more than two labels are called wrong"
refused 1 "a01_unbalanced.tsv:3: " "$mega" data listops --check "$cases/a01_unbalanced.tsv"
tiny "$cases/a06_7rows.tsv" >r.yaml
"$mega" train r.yaml --run run -q
"$mega" predict run "$cases/a01_listops.tsv" >p
[[ $(wc -l <p) == 8 ]] || fail "not one line a row"
[[ $(sed -n 1p p) != "$(sed -n 2p p)" ]] || fail "two trees that differ in ] alone get one answer"

# A06: metrics do not depend on the batch
for flags in "-b 1" "-b 2" "-b 3" "-b 4" "-b 7" "--tokens 40"; do
    # shellcheck disable=SC2086
    "$mega" eval run "$cases/a06_7rows.tsv" $flags --json | sed -E 's/("loss": [0-9]+\.[0-9]{6})[0-9]*/\1/' >>evals
    # shellcheck disable=SC2086
    "$mega" predict run "$cases/a06_7rows.tsv" $flags | cut -f1 | md5sum >>labels
done
[[ $(sort -u evals | wc -l) == 1 ]] || fail "evaluation depends on the batch: $(sort -u evals)"
[[ $(sort -u labels | wc -l) == 1 ]] || fail "predictions depend on the batch"

# A15: lengths that are no multiple of the chunk, and shorter
for chunk in 8 128; do
    tiny "$cases/a15_lengths.tsv" | sed "s/chunk: 8/chunk: $chunk/; s/steps: 12/steps: 5/" >c.yaml
    "$mega" train c.yaml --run "c$chunk" -q
    "$mega" predict "c$chunk" "$cases/a15_one.tsv" >one
    for batch in 1 3; do
        "$mega" predict "c$chunk" "$cases/a15_lengths.tsv" -b $batch | head -n 1 >with
        paste <(cut -f2- one | tr '\t' '\n') <(cut -f2- with | tr '\t' '\n') |
            awk '{ d = $1 - $2; if (d > 1.5e-6 || d < -1.5e-6) exit 1 }' || fail "padding leaks at chunk $chunk"
    done
done

# A11, A13: TSV without quoting, any bytes
cat >t.yaml <<END
task: { name: text, train: "$cases/a11_quotes.tsv", valid: "$cases/a11_quotes.tsv" }
model: { layers: 1, width: 8, values: 8, keys: 4, ffn: 8, ema: 2, longest: 64, head_width: 8 }
optim: { lr: 1e-3, steps: 3 }
train: { batch: 2 }
END
"$mega" train t.yaml --run text -q
[[ $("$mega" predict text "$cases/a11_quotes.tsv" | wc -l) == 5 ]] || fail "quotation marks melt rows"
[[ $("$mega" predict text "$cases/a13_bytes.tsv" | wc -l) == 3 ]] || fail "bytes cut rows"
"$mega" predict text "$cases/a13_bytes.tsv" --json | while read -r line; do
    [[ $line == \{*\}\} ]] || fail "no JSON: $line"
done
printf 'label\ttext\n1\t\n' >empty.tsv
"$mega" predict text empty.tsv | grep -qE '^[01]	0\.[0-9]+	0\.[0-9]+$' || fail "an empty text has no finite answer"
printf 'label\ttext\n1\n' >short.tsv
refused 1 "short.tsv:2: 1 columns, expected at least 2" "$mega" predict text short.tsv
printf 'label\ttext\n7\tx\n' >other.tsv
refused 1 "the label '7' is not one of the 2" "$mega" eval text other.tsv
