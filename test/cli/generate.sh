#!/usr/bin/env bash
# Generating and scoring: texts do not depend on batch and threads, go on from a saved state, end where they are told to.
source "$(dirname "$0")/lib.sh"

# small language models over bytes
seq 1 700 | sed 's/$/ bottles of ink on the shelf/' >text.txt
recipe() {
    cat <<END
task: { name: lm, train: [text.txt], hold_out: 0.1, length: 48 }
model: { decoder: $1, layers: 2, width: 16, $2 }
optim: { lr: 5e-3, steps: 30 }
train: { batch: 4, validate_every: 30, save_every: 30, keep: 0 }
END
}
recipe llama 'heads: 2, kv_heads: 1, longest: 64' >llama.yaml
recipe mega 'values: 24, keys: 8, ffn: 20, ema: 3, chunk: 16' >mega.yaml
recipe megalodon 'values: 24, keys: 8, ffn: 20, ema: 3, chunk: 16, groups: 4' >megalodon.yaml
for kind in llama mega megalodon; do "$mega" train $kind.yaml --run $kind -q; done

# equal seeds: equal texts, at any batch and thread count; prompts of other lengths beside them change nothing
for kind in llama mega megalodon; do
    set -- "$kind" "1" "12 bottles of ink on" "99 bottles"
    "$mega" generate "$@" -n 30 --samples 3 --json -q --batch 1 --threads 1 | sort >alone
    for setting in "--batch 2" "--batch 9" "--batch 16 --threads 3"; do
        "$mega" generate "$@" -n 30 --samples 3 --json -q $setting | sort >together
        cmp alone together || fail "$kind: $setting gives other texts"
    done
    [[ $(wc -l <alone) == 9 ]] || fail "$kind: not a line for each text"
    "$mega" generate "$kind" "12 bottles of ink on" -n 30 -q >one
    [[ $(stat -c %s one) == 30 ]] || fail "$kind: 30 bytes expected, nothing added"
done
"$mega" generate mega 1 -n 30 --seed 2 -q | cmp -s - <("$mega" generate mega 1 -n 30 -q) && fail "seeds give one text"

# n, saved, and m more are n + m
for kind in llama mega megalodon; do
    for samples in 1 3; do
        how="--samples $samples --repetition-penalty 1.1 --top-k 40 --top-p 0.95 -q --json"
        "$mega" generate $kind "3 bottles" -n 44 $how | grep -o '"ids": [^]]*' >whole
        "$mega" generate $kind "3 bottles" -n 17 $how --save-state s | grep -o '"ids": [^]]*' >first
        "$mega" generate $kind --load-state s -n 27 $how | grep -o '"ids": [^]]*' >second
        paste -d, first <(sed 's/"ids": \[/ /' second) | cmp - whole || fail "$kind: a saved state goes on differently"
    done
done
refused 1 "of another model" "$mega" generate mega --load-state s
head -c 500 s >cut
refused 1 "cut" "$mega" generate megalodon --load-state cut
# a prompt behind a state is as if it had stood there
"$mega" generate mega "3 bot" -n 1 --temperature 0 -q --save-state s >made
"$mega" generate mega --load-state s "tles of" -n 12 --temperature 0 -q >after
"$mega" generate mega "3 bot$(cat made)tles of" -n 12 --temperature 0 -q | cmp - after

# lines of a conversation are one text
printf 'ab\ncd\n' | "$mega" generate mega --interactive -n 5 --temperature 0 -q >talk
"$mega" generate mega ab -n 5 --temperature 0 -q >made
"$mega" generate mega "ab$(cat made)cd" -n 5 --temperature 0 -q >after
cmp talk <(cat made; echo; cat after; echo)

# stop strings: the text before them
"$mega" generate mega "5 bottles" -n 60 --temperature 0 -q >whole
stop=$(cut -c 20-24 <(tr '\n' ' ' <whole))
"$mega" generate mega "5 bottles" -n 60 --temperature 0 -q --stop "$stop" --stop never >before
tr '\n' ' ' <whole | awk -v stop="$stop" '{ printf "%s", substr($0, 1, index($0, stop) - 1) }' | cmp - <(tr '\n' ' ' <before)
"$mega" generate mega "5 bottles" -n 60 --temperature 0 -q --stop "$stop" --json | grep -q '"ending": "stop"'

# the end of the context: said, refused, or slid over; and none where there is no limit
"$mega" generate llama x -n 200 --json >made 2>said
grep -q "context of 64 is full" said && grep -q '"ending": "context"' made || fail "the end of the context is not told"
[[ $(grep -o '"ids": [^]]*' made | tr -cd , | wc -c) == 63 ]] || fail "64 tokens expected"
long=$(head -c 80 text.txt)
refused 1 "80 tokens, but the model's context is 64" "$mega" generate llama "$long"
"$mega" generate llama "$long" -n 100 --context slide 2>said | wc -c | grep -q '^100$'
grep -q "only the last" said || fail "a cut prompt is silent"
"$mega" generate mega "$long" -n 1500 -q | wc -c | grep -q '^1500$'

# prompts from files and standard input
printf '7 bot\r\n9 bottles' >prompts
"$mega" generate mega --file prompts --lines -n 4 --json -q | sort >lines
"$mega" generate mega "7 bot" "9 bottles" -n 4 --json -q | sort | cmp - lines
printf '7 bot' | "$mega" generate mega - -n 4 -q | cmp - <("$mega" generate mega -p "7 bot" -n 4 -q)
"$mega" generate mega "7 bot" -n 4 --echo -q | cmp - <(printf '7 bot'; "$mega" generate mega "7 bot" -n 4 -q)
refused 1 "empty prompt" "$mega" generate mega
refused 2 "temperature" "$mega" generate mega x --temperature -1
refused 2 "top-p" "$mega" generate mega x --top-p 1.5
refused 2 "repetition" "$mega" generate mega x --repetition-penalty 0
refused 1 "stop string 1 is empty" "$mega" generate mega x --stop ''
refused 1 "no such file" "$mega" generate nothing x

# an interrupt ends a text that would go on for ever, and saves it
rm -f made
"$mega" generate mega x -n 0 --save-state s >made 2>said &
child=$!
for _ in $(seq 100); do [[ -s made ]] && break; sleep 0.05; done
kill -INT $child
status=0
wait $child || status=$?
[[ $status == 75 && -s made && -s s ]] || fail "an interrupt ended with $status: $(cat said)"

# scores: every token once, the same by any way that shows as much; totals are sums
"$mega" score mega text.txt --total --json -q >carry
"$mega" score mega text.txt --context windows --window 100000 --total --json -q | cmp - carry
"$mega" score mega text.txt -q | awk -F'\t' 'NF == 4 { n++; sum -= $3 } END { printf "%d %.3f\n", n, sum }' >sums
sed 's/.*"tokens": \([0-9]*\).*"nll": \([0-9.]*\),.*/\1 \2/' carry | awk '{ printf "%d %.3f\n", $1, $2 }' | awk -v s="$(cat sums)" \
    '{ split(s, a, " "); exit !($1 == a[1] && $2 - a[2] < 0.1 && a[2] - $2 < 0.1) }' || fail "scores: $(cat sums), total: $(cat carry)"
"$mega" score llama text.txt --total -q | grep -q "bits a byte"
"$mega" score llama text.txt --context windows --window 48 --total -q >windows
"$mega" score llama text.txt --context slide --window 48 --stride 48 --total -q | cmp - windows
"$mega" score llama text.txt --context slide --window 48 --stride 16 --total -q | cmp -s - windows && fail "a stride changes nothing"
refused 1 "context is 64" "$mega" score llama text.txt --context carry
: >empty
"$mega" score mega empty --total --json -q | grep -q '"tokens": 0'

# norms that forget: from the eighth chunk on, and only Megalodon's
forget="--norm-truncate-chunks 8"
"$mega" score megalodon text.txt -q >plain
"$mega" score megalodon text.txt -q $forget >forgetful
# (pieces of other lengths round otherwise, in the last of the digits shown)
paste <(head -n 128 plain) <(head -n 128 forgetful) |
    awk -F'\t' '{ d = $3 - $7 } $1 != $5 || $2 != $6 || d > 1e-5 || d < -1e-5 { bad++ } END { exit NR != 128 || bad }' ||
    fail "something is forgotten before the eighth chunk"
cmp -s plain forgetful && fail "nothing is forgotten"
long=$(head -c 300 text.txt)
[[ $("$mega" generate megalodon "$long" -n 9 -q $forget --temperature 0 | wc -c) == 9 ]]
refused 1 "only Megalodon has" "$mega" generate mega x $forget
refused 1 "expected at least 3" "$mega" score megalodon text.txt --norm-truncate-chunks 2

# every byte with equal chance: nothing lost, nothing held back, JSON whatever the bytes
uniform=${MEGA_DATA:-$here/../../../shared/data}/../cases/files/b15_uniform
if [[ -d $uniform ]]; then
    for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        for prompt in "" x; do
            "$mega" generate "$uniform" "$prompt" --temperature 1 --seed $seed --tokens 25 -q >made
            "$mega" generate "$uniform" "$prompt" --temperature 1 --seed $seed --tokens 25 -q --json >object
            sed 's/.*"ids": \[\([^]]*\)\].*/\1/; s/,//g' object | "$mega" tokenizer decode "$uniform" | cmp - made || fail "seed $seed"
            if grep -q '"hex"' object; then
                [[ $(sed 's/.*"hex": "\([^"]*\)".*/\1/' object) == "$(od -An -v -tx1 made | tr -d ' \n')" ]] || fail "hex of seed $seed"
            fi
            iconv -f UTF-8 -t UTF-8 object >/dev/null || fail "JSON that is no UTF-8"
        done
    done
fi

# a real model as it lies: the texts of the program that it comes from, alone and side by side, its context, its scores
stories=${MEGA_DATA:-$here/../../../shared/data}/weights/stories260K
model=$stories/stories260K.bin
if [[ -f $model ]]; then
    "$mega" generate "$model" --temperature 0 -n 200 -q | cmp - <(head -c -1 "$stories/greedy_200_no_prompt.txt")
    "$mega" generate "$model" "Lily wanted a cat" --echo --temperature 0 -n 250 -q | cmp - <(head -c -1 "$stories/greedy_256_lily.txt")
    for batch in 1 2 3; do
        "$mega" generate "$model" "Lily wanted a cat" "One day, a big red dog" "" --temperature 0 -n 20 -q --batch $batch | cmp - <(
            echo " named Max. Max was very happy. He wanted to play with his friend"
            echo " named Max went to the park with his mom. They saw a big b"
            echo "Once upon a time, there was a little girl named Lily. She loved to play"
        )
    done
    "$mega" generate "$model" --temperature 0 -n 600 --json >made 2>said
    grep -q "the context of 512 is full" said
    [[ $(grep -o '"ids": [^]]*' made | tr -cd , | wc -c) == 511 ]] || fail "512 new tokens expected"
    refused 1 "but the model's context is 512" "$mega" generate "$model" "$(printf 'cat %.0s' $(seq 600))"
    "$mega" generate "$model" -n 700 --temperature 0 --context slide -q --json | grep -q '"ending": "tokens"'
    printf 'Lily wanted a cat named Max. Max was very happy. He wanted to play with his friends.' | "$mega" score "$model" -q >scores
    grep -q '^28 tokens, 84 bytes, 84 characters: 37.1141[0-9]* nats' scores || fail "scores: $(tail -n 1 scores)"
    head -n 1 scores | grep -q "$(printf '^1\t317\t-4.4980')"
fi
