#!/usr/bin/env bash
# mega tokenizer: encode, decode, info.
source "$(dirname "$0")/lib.sh"

strings=$cases/b03_tokenizers/merges_as_strings.json
encode() { "$mega" tokenizer encode "$@" | xargs; }

# bytes: nothing added, nothing taken
[[ $(encode --bytes "$cases/b18_bom_nonewline.txt") == "239 187 191 97 98 99" ]] || fail "a byte order mark: $(encode --bytes "$cases/b18_bom_nonewline.txt")"
for file in allbytes.bin:256 cr_only.txt:13 bom_nonewline.txt:6 empty.txt:0; do
    "$mega" tokenizer encode --bytes "$cases/b18_${file%:*}" >ids
    [[ $(wc -l <ids) == "${file#*:}" ]] || fail "${file%:*} has $(wc -l <ids) ids, expected ${file#*:}"
    [[ $("$mega" tokenizer encode --bytes "$cases/b18_${file%:*}" --count) == "${file#*:}" ]]
    "$mega" tokenizer decode bytes ids | cmp - "$cases/b18_${file%:*}"
done

# special tokens are text unless asked for
[[ $(printf 'ab<|end|>' | encode "$strings") == "256 60 124 101 110 100 124 62" ]]
[[ $(printf 'ab<|end|>' | encode "$strings" --special) == "256 260" ]]
[[ $(echo 256 260 97 | "$mega" tokenizer decode "$strings") == aba ]]
[[ $(echo 256 260 97 | "$mega" tokenizer decode "$strings" --special) == "ab<|end|>a" ]]

# characters over several ids
[[ $(echo 240 159 153 130 | "$mega" tokenizer decode "$strings" | od -An -tx1) == " f0 9f 99 82" ]]
[[ $(echo 240 159 | "$mega" tokenizer decode "$strings" | od -An -tx1) == " f0 9f" ]]

# lines and pieces
printf 'ab ab\n\nb' >text
[[ $("$mega" tokenizer encode "$strings" text --lines) == $'256 257\n\n98' ]]
"$mega" tokenizer encode "$strings" text --lines | "$mega" tokenizer decode "$strings" --lines | cmp - <(printf 'ab ab\n\nb\n')
[[ $("$mega" tokenizer encode "$strings" text --lines --pieces | head -n 1) == "ab Ġab" ]]
[[ $("$mega" tokenizer info "$strings") == *"vocabulary 261"*"special    260 <|end|>"* ]]

# a dictionary
printf 'the 5\ncat 2\n' >dict.txt
[[ $(echo "the cat sat" | encode dict.txt --frame) == "4 5 3 2" ]]
[[ $(echo 4 5 3 2 | "$mega" tokenizer decode .) == "the cat <unk>" ]]

printf 'the \xff' >broken
refused 1 "broken: byte 5 of the text, 0xff, is not valid UTF-8" "$mega" tokenizer encode dict.txt broken
refused 1 "standard input, line 2: the id 261 is not in the vocabulary of 261" bash -c "printf '5\n261\n' | $mega tokenizer decode $strings"
refused 1 "line 1: expected an id, found 'x'" bash -c "echo x | $mega tokenizer decode $strings"
refused 1 "this tokenizer (byte-level BPE) has no token for the begin of a text" "$mega" tokenizer encode "$strings" text --bos
refused 1 "holds no tokenizer: expected one of tokenizer.json" "$mega" tokenizer info /
refused 1 "is no tokenizer that is known here" "$mega" tokenizer info "$cases/a08_numbers.yaml"
refused 2 "tokenizer encode needs TOKENIZER" "$mega" tokenizer encode
for file in "$cases"/b03_tokenizers/refuse_*; do refused 1 "$file:" "$mega" tokenizer info "$file"; done

# training, and what was trained
printf 'the cat sat on the mat the end\n' >corpus
for kind in bpe codes words characters; do
    "$mega" tokenizer train $kind corpus --out $kind --size 300 --min-count 1 >said
    grep -q "^$kind: .*, vocabulary [0-9]" said || fail "training $kind said: $(cat said)"
    "$mega" tokenizer encode $kind corpus --lines | "$mega" tokenizer decode $kind --lines | cmp - corpus
done
[[ $(ls bpe) == $'merges.txt\ntokenizer.json\nvocab.json' ]]
[[ $(ls codes) == $'bpe.codes\ndict.txt' ]]
[[ $(printf 'the<|endoftext|>' | encode bpe --special --eos | awk '{ print $(NF - 1) == $NF }') == 1 ]]
refused 2 "tokenizer train needs --out FOLDER" "$mega" tokenizer train bpe corpus
refused 1 "no tokenizer is trained as 'bep'" "$mega" tokenizer train bep corpus --out x
refused 1 "cannot open nothing" "$mega" tokenizer train bpe nothing --out x
[[ ! -e x ]] || fail "a failed training left x"

# half a character is its bytes (case B05)
gpt2=${MEGA_DATA:-$here/../../../shared/data}/weights/gpt2_vocab
if [[ -d $gpt2 ]]; then
    [[ $(printf '8582\n25081\n' | "$mega" tokenizer decode "$gpt2" | od -An -tx1) == " f0 9f 99 82" ]] || fail "a character of two tokens"
    [[ $(printf '8582\n' | "$mega" tokenizer decode "$gpt2" | od -An -tx1) == " f0 9f" ]] || fail "half a character"
fi
