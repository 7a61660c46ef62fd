#!/usr/bin/env bash
# mega bench context: with chunks the state and the memory are of one size however long the text; keys and values of Llama are not.
source "$(dirname "$0")/lib.sh"

tiny=(--layers 2 --width 16 --values 24 --keys 8 --heads 2 --ffn 16 --ema 2 --groups 2 --chunk 16 --vocab 31)
bench() { "$mega" bench context "${tiny[@]}" --rounds 2 --read 64 --make 32 --threads 1 "$@" 2>said || fail "$(cat said)"; }
# field NUMBER MODEL: a field of the CSV's rows of a model, rising contexts
field() { awk -F, -v n="$1" -v model="\"$2\"" '$1 == model { print $n }' t.csv; }

bench --contexts 65536,1024,8192 --csv t.csv --jsonl t.jsonl >t.md
[[ $(field 2 mega | paste -sd' ') == "1024 8192 65536" && $(field 2 megalodon | wc -l) == 3 ]] || fail "not three contexts of two models: $(cat t.csv)"
for model in mega megalodon; do
    [[ $(field 3 $model | sort -u | wc -l) == 1 && $(field 3 $model | head -1) -gt 1000 ]] || fail "the state of $model grows: $(cat t.csv)"
    if ! grep -qa __asan_init "$mega"; then
        for column in 8 13; do # resident memory in 10^6 bytes
            field $column $model | awk 'NR == 1 { first = $1 } { if ($1 < 1 || $1 > first + 1) exit 1 }' || fail "the memory of $model grows: $(cat t.csv)"
        done
    fi
done
[[ $(grep -c '^| mega' t.md) == 6 && $(awk -F'|' '/^\|/ { print NF }' t.md | sort -u) == 12 ]] || fail "the table: $(cat t.md)"
[[ $(awk -F, '{ print NF }' t.csv | sort -u) == 14 ]] || fail "rows of the CSV differ in their columns: $(cat t.csv)"
[[ $(field 7 mega | head -1) == 1 && $(grep -c '"read_us": \[[0-9.e-]*, [0-9.e-]*\], "make_us"' t.jsonl) == 6 ]] || fail "ratios or rounds: $(cat t.csv t.jsonl)"
if command -v python3 >/dev/null; then python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' <t.jsonl; fi

# what Llama keeps is a key and a value of each place and layer, float32: 2 heads of width 8 of 2 layers
bench --decoders llama --chunk 0 --contexts 128,384 --csv t.csv >t.md
[[ $(($(field 3 llama | tail -1) - $(field 3 llama | head -1))) == $(((384 - 128) * 2 * 2 * 16 * 4)) ]] || fail "the state of Llama: $(cat t.csv)"

# a model that is given, of a run; the longest text is a limit, and so is the time
head -c 3000 /dev/zero | tr '\0' a >text.txt
printf 'task: { name: lm, train: [text.txt], length: 64 }\nmodel: { decoder: llama, layers: 1, width: 16, heads: 2, ffn: 16, longest: 200 }\noptim: { lr: 1e-3, steps: 1 }\ntrain: { batch: 2 }\n' >r.yaml
"$mega" train r.yaml --run r 2>said || fail "$(cat said)"
bench r --contexts 100,1000 --csv t.csv >t.md
[[ $(field 3 r | head -1) -gt 0 ]] || fail "a model of a run: $(cat t.csv)"
grep -q '^| r | 1000 | - .*more than the 200 places of this model |$' t.md || fail "a context that is too long: $(cat t.md)"
bench --decoders mega --contexts 64,100000000 --seconds 0.5 >t.md
grep -q '^| mega | 64 | [0-9]' t.md && grep -q '^| mega | 100000000 | - .*takes more than 0.5 s |$' t.md || fail "a limit of time: $(cat t.md)"

refused 1 "--contexts: 'long': expected a whole number" "$mega" bench context --contexts 1,long
refused 1 "--contexts: expected at least one" "$mega" bench context --contexts ,
refused 1 "--decoders: 'lama': expected gpt2|llama" "$mega" bench context --decoders lama
refused 1 "there is no such file or folder" "$mega" bench context nothing
