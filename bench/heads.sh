#!/usr/bin/env bash
# heads.sh [FOLDER]: stories260K without more and more of its 40 heads: perplexity by each way of choosing them, size, speed; and what an
# encoder over long texts gains by losing 38 of 48.
#
# Prints Markdown tables. The model and two texts that it wrote lie in MEGA_DATA (else ../shared/data); one text judges the heads, the
# other is measured. Models stay in FOLDER, if it is given. MEGA: the program (build/mega). THREADS: 1.
set -euo pipefail
cd "$(dirname "$0")/.."
mega=${MEGA:-$PWD/build/mega} threads=${THREADS:-1}
stories=${MEGA_DATA:-$PWD/../shared/data}/weights/stories260K
[[ -e $stories/stories260K.bin ]] || { echo "heads.sh: $stories/stories260K.bin is missing: set MEGA_DATA" >&2; exit 1; }
if (($#)); then mkdir -p "$1" && cd "$1"; else cd "$(mktemp -d)" && trap 'rm -rf "$PWD"' EXIT; fi

"$mega" convert --tokenizer "$stories/tok512.bin" "$stories/stories260K.bin" all >/dev/null
cp "$stories/greedy_256_lily.txt" judge.txt
cp "$stories/greedy_200_no_prompt.txt" measure.txt
for _ in {1..8}; do cat measure.txt; done >long.txt

keeps=(36 32 28 24 20 16 12 8 4 0)
methods=(gradient ablation confidence weight relevance random)

perplexity() { "$mega" eval -t "$threads" "$1" measure.txt --length 256 --json | sed 's/.*"perplexity": \([0-9.]*\).*/\1/' | awk '{ printf "%.3f", $1 }'; }

for method in "${methods[@]}"; do
    before=all
    how=(--length 256)
    # a pass back for every token: a part of the text
    [[ $method == relevance ]] && how=(--length 64 --texts 1)
    for keep in "${keeps[@]}"; do
        "$mega" heads prune -t "$threads" "$before" "$method-$keep" judge.txt --by "$method" --keep "$keep" --step 4 "${how[@]}" >/dev/null 2>&1
        before=$method-$keep
    done
done

echo "Perplexity of stories260K on a text that it wrote, by heads kept of 40; four go at a time, then the rest are judged anew on another text."
echo
printf '| heads kept |' && printf ' %s |' "${methods[@]}" && echo
printf '|---|' && printf -- '---|%.0s' "${methods[@]}" && echo
printf '| 40 |' && for _ in "${methods[@]}"; do printf ' %s |' "$(perplexity all)"; done && echo
for keep in "${keeps[@]}"; do
    printf '| %s |' "$keep"
    for method in "${methods[@]}"; do printf ' %s |' "$(perplexity "$method-$keep")"; done
    echo
done

echo
echo "Size and speed, heads chosen by gradient: scoring $(wc -c <long.txt) bytes, $threads thread(s), the best of 5."
echo
echo "| heads kept | parameters | keys and values of a place, bytes | tokens/s |"
echo "|---|---|---|---|"
for keep in 40 "${keeps[@]}"; do
    model=gradient-$keep
    [[ $keep == 40 ]] && model=all
    parameters=$("$mega" inspect "$model" | grep -o '[0-9]* trainable' | cut -d' ' -f1)
    # rows of every layer's key and value projection: 4 bytes each
    cache=$("$mega" inspect "$model" | awk '/attn\.[kv]\.weight/ { match($0, /\[[0-9]+,/); n += substr($0, RSTART + 1, RLENGTH - 2) } END { print 4 * n }')
    speed=$(for _ in {1..5}; do "$mega" score -t "$threads" "$model" long.txt 2>&1 >/dev/null; done |
        grep -o '[0-9]* a second' | cut -d' ' -f1 | sort -n | tail -1)
    echo "| $keep | $parameters | $cache | $speed |"
done

# what removal saves where texts are long: an encoder of the size of 2017, 48 heads with gates, untrained; 10 stay, by the norms of their weights
lengths=(1000 4000)
now() { echo $((${EPOCHREALTIME/./} / 1000)); }
cat >encoder.yaml <<'END'
seed: 1
task: { name: listops, train: lists/basic_train.tsv, valid: lists/basic_val.tsv }
model: { mixer: attention, layers: 6, width: 512, heads: 8, head_width: 512, ffn: 2048, longest: 4096, positions: learned, norm: layernorm, prenorm: true, head_gates: concrete }
optim: { lr: 1e-6, steps: 1 }
train: { batch: 1, validate_every: 1, valid_batch: 1 }
END
[[ -e lists ]] || "$mega" data listops --out lists --train 4 --valid 1 --test 1 --min-length 100 --max-length 200 --seed 1 >/dev/null
[[ -e encoder ]] || "$mega" train encoder.yaml --run encoder -q -t "$threads"
for keep in 48 10; do [[ -e encoder-$keep ]] || "$mega" heads prune encoder "encoder-$keep" --by weight --keep "$keep" >/dev/null; done

echo
echo "An encoder of 6 layers, width 512, 8 heads a layer: milliseconds a text, $threads thread(s), the best of 3; the start of the program is taken off."
echo
echo "| tokens of a text | 48 heads with gates | 48 heads | 10 heads | times as fast as with gates |"
echo "|---|---|---|---|---|"
# reading MODEL FILE: milliseconds, the best of 3
reading() {
    for _ in 1 2 3; do
        local start=$(now)
        "$mega" eval -t "$threads" "$1" "$2" --json >/dev/null
        echo $(($(now) - start))
    done | sort -n | head -1
}
for length in "${lengths[@]}"; do
    folder=lists-$length
    [[ -e $folder ]] || "$mega" data listops --out "$folder" --train 1 --valid 1 --test 8 --min-length $((length - 100)) --max-length "$length" --seed 1 >/dev/null
    head -2 "$folder/basic_test.tsv" >"$folder/one.tsv"
    row="| $length |"
    for model in encoder encoder-48 encoder-10; do
        times=$((($(reading "$model" "$folder/basic_test.tsv") - $(reading "$model" "$folder/one.tsv")) / 7))
        row+=" $times |"
        [[ $model == encoder ]] && first=$times
    done
    echo "$row $(awk "BEGIN { printf \"%.2f\", $first / $times }") |"
done
