#!/usr/bin/env bash
# mega bench models: its table in three formats that agree, its plot, peers that fail, limits, a stop.
source "$(dirname "$0")/lib.sh"

tiny=(--layers 1 --width 8 --values 8 --keys 4 --ffn 8 --ema 2 --chunk 8 --rounds 1 --steps 1 --warmup 0 --threads 1)
bench() { "$mega" bench models "${tiny[@]}" --models mega,mega-chunk "$@" 2>said; }
unset MEGA_PEER_PYTHON

# eight rows: two models, two lengths, two modes
bench --lengths 32,16 --rounds 2 --csv t.csv --jsonl t.jsonl --svg t.svg >t.md
[[ $(tail -n +2 t.csv | wc -l) == 8 && $(grep -c '^| mega' t.md) == 8 ]] || fail "not eight rows: $(cat t.md)"
[[ $(grep -c '"kind": "run"' t.jsonl) == 16 && $(head -1 t.jsonl) == '{"kind": "machine"'* ]] || fail "not sixteen runs: $(cat t.jsonl)"
[[ $(awk -F, 'NR > 1 { print $1 }' t.csv | head -2 | paste -sd' ') == "mega-16-train mega-chunk-16-train" ]] || fail "shorter rows are not first"
grep -q 'Rounds: 2, each 1 steps after 0; threads: 1' t.md || fail "the table does not say how it was measured"

# the median of two runs is their mean, and the table rounds it
while IFS=, read -r name _ _ _ _ engine runs speed _; do
    [[ $engine == mega.c && $runs == 2 ]] || fail "$name: $runs runs of $engine"
    mean=$(grep -F "\"problem\": \"$name\"" t.jsonl | sed 's/.*"tokens_per_s": \([0-9.]*\).*/\1/' | awk '{ sum += $1 } END { printf "%.2f", sum / 2 }')
    [[ $(printf %.2f "$speed") == "$mean" ]] || fail "$name: $speed in the CSV, $mean in the JSON lines"
    shown=$(grep -F "| $name |" t.md | awk -F'|' '{ print $4 }' | sed 's/(.*//; s/[ ,]//g')
    awk -v a="$shown" -v b="$speed" 'BEGIN { exit !(a - b <= 0.5 && b - a <= 0.5) }' || fail "$name: $speed in the CSV, $shown in the table"
done < <(tail -n +2 t.csv)
[[ $(awk -F'|' '/^\|/ { print NF }' t.md | sort -u) == 12 ]] || fail "rows of the table differ in their columns"
[[ $(tail -n +2 t.csv | tr -cd ',\n' | sort -u) == ",,,,,,,,,,,,,,,," ]] || fail "rows of the CSV differ in their columns"

# each line of the plot has a dot a length; one line an architecture, in two plots
[[ $(grep -c "<circle.*<title>" t.svg) == 8 && $(grep -c "<path class='line s.*/>$" t.svg) == 4 ]] || fail "lines or dots of the plot are missing"
if command -v xmllint >/dev/null; then xmllint --noout t.svg; fi
if command -v python3 >/dev/null; then
    python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' <t.jsonl
fi

# the Transformer is what the others are compared with, in each mode
bench --models mega,transformer --heads 2 --lengths 16 >t.md
[[ $(grep '^| transformer-16' t.md | awk -F'|' '{ print $8 }' | sort -u) == " 1.00 " ]] || fail "the Transformer over itself: $(cat t.md)"
[[ $(grep '^| mega-16' t.md | awk -F'|' '{ print $8 }' | grep -c '[0-9]\.[0-9][0-9]') == 2 ]] || fail "Mega over the Transformer: $(cat t.md)"

# the table as a file
bench --lengths 16 --modes infer --markdown file.md >out && [[ ! -s out && $(grep -c '^| mega' file.md) == 2 ]] || fail "--markdown FILE"

# a file of problems, one of them by name
printf '# two\nshort length=16 width=8 mode=infer # text\n\nlong length=32 layers=1 dropout=0\n' >p.txt
bench --problems p.txt short >p.md
grep -q '^| short | mega.c |' p.md || fail "a problem of a file: $(cat p.md)"
! grep -q '^| long' p.md || fail "a problem that was not asked for"
refused 1 "p.txt has no problem other" "$mega" bench models --problems p.txt other
printf 'short length=16\nlong lenght=32\n' >p.txt
refused 1 "p.txt:2: unknown key lenght, did you mean length?" "$mega" bench models --problems p.txt
printf 'short width=16\n' >p.txt
refused 1 "p.txt:1: short has no length" "$mega" bench models --problems p.txt

# peers that fail have rows that say so, and the status is 0
bench --lengths 16 --peers "$tmp/nothing" --peer-forms eager --peer-folder "$tmp" >t.md
grep -q "torch eager | - .* absent: cannot start $tmp/nothing: No such file" t.md || fail "an absent peer: $(cat t.md)"
peer() { # BODY: a peer of this behaviour
    printf '#!/usr/bin/env bash\n%s\n' "$1" >peer
    chmod +x peer
}
peer 'echo "{\"failed\": \"out of memory: 8 | 9 GB\"}"; exit 1'
bench --models mega --lengths 16,32 --modes train --peers ./peer --peer-forms real,dropout --peer-folder . --csv t.csv >t.md
grep -qF 'failed: out of memory: 8 \| 9 GB |' t.md || fail "a peer without memory: $(cat t.md)"
grep -q '^mega-32-train,.*,torch real,0,.*"not tried: 16 places were too many already"' t.csv || fail "a longer row: $(cat t.csv)"
! grep -q dropout t.csv || fail "Mega has no dropout on its attention weights"
peer 'echo "Traceback" >&2; echo "ValueError: no such | form" >&2; exit 3'
bench --lengths 16 --modes infer --peers ./peer --peer-forms compiled-bf16 --peer-folder . >t.md
grep -qF 'torch compiled bf16 | - | - | - | - | - | - | - | failed: ValueError: no such \| form |' t.md || fail "a peer's last words: $(cat t.md)"
peer 'kill -SEGV $$'
bench --lengths 16 --modes infer --peers ./peer --peer-forms eager --peer-folder . >t.md
grep -q 'failed: ended by signal 11' t.md || fail "a peer that crashes: $(cat t.md)"
peer 'echo "{\"tokens_per_s\": 50, \"median_ms\": 320, \"peak_rss_mb\": 7}"; echo ignored >&2'
bench --lengths 16 --modes train --models mega --peers ./peer --peer-forms eager --peer-folder . --jsonl t.jsonl >t.md
grep -q 'torch eager | 50 | 320.0 | 7 |' t.md && grep -q '"engine": "torch eager".*"result": {"tokens_per_s": 50' t.jsonl || fail "a peer's numbers: $(cat t.md)"

# language models: compared with Llama, not with classifiers; of some there are peers
sizes="length=16 layers=1 width=8 values=8 keys=4 heads=2 ffn=8 ema=2 groups=2 chunk=8 vocab=9"
for mode in train infer generate; do
    for decoder in megalodon mega llama; do echo "$decoder-$mode decoder=$decoder mode=$mode tokens=3 $sizes kv-heads=$([[ $decoder == llama ]] && echo 1 || echo 0)"; done
done >lm.txt
echo "classifier mode=train $sizes" >>lm.txt
peer 'echo "$@" >>args; echo "{\"tokens_per_s\": 50, \"median_ms\": 320, \"peak_rss_mb\": 7}"'
rm -f args
bench --problems lm.txt --peers ./peer --peer-forms eager,real,dropout --peer-folder . --csv t.csv --svg t.svg >t.md
[[ $(awk -F, 'NR > 1 { print $1 "/" $2 "/" $6 }' t.csv | head -5 | paste -sd' ') == "megalodon-train/megalodon/mega.c megalodon-train/megalodon/torch eager mega-train/mega-lm/mega.c llama-train/llama/mega.c llama-train/llama/torch eager" ]] || fail "rows of language models: $(cat t.csv)"
[[ $(wc -l <args) == 8 ]] || fail "not eight runs of peers: $(cat args)"
grep -q '^./torch_megalodon.py --mode generate --length 16 .*--heads 2 .*--kv-heads 0 --groups 2 --swiglu 1 --tokens 3 --threads 1' args || fail "flags of Megalodon's peer: $(cat args)"
grep -q '^./torch_llama.py --mode train .*--kv-heads 1' args || fail "flags of Llama's peer: $(cat args)"
! grep -q -e '--decoder' args || fail "a peer was told its decoder: $(cat args)"
[[ $(grep '^| llama' t.md | awk -F'|' '{ print $8 }' | sort -u) == " 1.00 " ]] || fail "Llama over itself: $(cat t.md)"
[[ $(grep -c '^| meg[a-z-]* | mega.c |.*[0-9.]* | - | [0-9.]* |  |$' t.md) == 6 ]] || fail "ours over Llama: $(cat t.md)"
grep -q '^| classifier | mega.c |.* | - | - |' t.md || fail "a classifier was compared with Llama: $(cat t.md)"
[[ $(grep -c '<title>megalodon' t.svg) == 4 ]] || fail "dots of Megalodon: $(cat t.svg)"
bench --problems lm.txt llama-infer llama-generate --peers ./peer --peer-forms compiled --peer-folder . --csv t.csv >t.md
[[ $(grep -c 'torch compiled' t.csv) == 1 ]] || fail "a compiled peer makes tokens one by one: $(cat t.csv)"
one=(--length 16 --layers 1 --width 8 --values 8 --keys 4 --heads 2 --ffn 8 --ema 2 --groups 2 --chunk 8 --vocab 9 --steps 2 --warmup 0 --threads 1)
for decoder in gpt2 transformer; do
    "$mega" bench step --decoder $decoder --mode generate "${one[@]}" --batch 2 --tokens 5 >t.json || fail "$decoder does not generate"
    grep -q "\"mode\": \"generate\".*\"decoder\": \"$decoder\".*\"tokens_per_s\": [0-9]" t.json || fail "what $decoder generated: $(cat t.json)"
done
"$mega" bench step --decoder megalodon "${one[@]}" --profile >t.json 2>t.profile && grep -q '"profile": {' t.json && grep -q '^| cema ' t.profile || fail "the profile of a language model: $(cat t.profile)"
refused 1 "name one with --decoder" "$mega" bench step --mode generate "${one[@]}"
refused 2 "expected one of none" "$mega" bench step --decoder lama "${one[@]}"

# limits
peer 'sleep 60'
bench --lengths 16 --modes infer --models mega --peers ./peer --peer-forms eager --peer-folder . --seconds 1 >t.md
grep -q 'stopped: took more than 1 s' t.md || fail "a limit of time: $(cat t.md)"
bench --lengths 16 --modes infer --models mega --peers ./peer --peer-forms eager --peer-folder . --memory 1 >t.md
grep -q 'torch eager .*stopped: needed more than 1 MB' t.md || fail "a limit of memory: $(cat t.md)"

# a stop keeps what was measured, and ends the run with all that it started
peer 'sleep 600 & echo $! >sleeper; wait'
"$mega" bench models "${tiny[@]}" --models mega --lengths 16 --modes train --peers ./peer --peer-forms eager --peer-folder . --csv s.csv >s.md 2>said &
pid=$!
for ((i = 0; i < 300; i++)); do [[ -s sleeper ]] && break || sleep 0.1; done
kill -TERM $pid
status=0
wait $pid || status=$?
[[ $status == 75 ]] || fail "a stopped bench ended with $status: $(cat said)"
grep -q '^mega-16-train,mega,train,16,1,mega.c,1,[0-9]' s.csv || fail "what was measured is lost: $(cat s.csv)"
for ((i = 0; i < 50; i++)); do kill -0 "$(cat sleeper)" 2>/dev/null || break; sleep 0.1; done
! kill -0 "$(cat sleeper)" 2>/dev/null || fail "what the peer started lives on"

refused 1 "--models: 'mgea': expected mega, mega-chunk or transformer" "$mega" bench models --models mgea
refused 1 "--lengths: expected at least 1, found 0" "$mega" bench models --lengths 16,0
refused 1 "--modes" "$mega" bench models --modes training
refused 1 "no models, lengths or modes to measure" "$mega" bench models --models ,
refused 1 "--peer-forms: 'fast': expected eager, real, compiled" "$mega" bench models --peers python3 --peer-forms fast
refused 1 "--peer-folder: there is no folder nowhere" "$mega" bench models --peers python3 --peer-folder nowhere
refused 1 "text: names of problems need --problems FILE" "$mega" bench models text
refused 2 "expected a whole number from 1" "$mega" bench models --rounds 0
