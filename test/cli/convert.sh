#!/usr/bin/env bash
# mega convert: what comes in and goes out, what is refused, nothing half written (cases B10, B13).
source "$(dirname "$0")/lib.sh"

official=$here/../model/official
gpt2=$here/../model/gpt2

# a folder of Hugging Face becomes ours, a file of llama2.c, and itself again, bit for bit
"$mega" convert "$cases/b10_hf_untied" ours >said
[[ $(<said) == "ours: Llama of Hugging Face, 4048 parameters" ]] || fail "convert said: $(<said)"
[[ $(ls ours) == $'config.json\nmodel.safetensors' ]] || fail "ours holds $(ls ours)"
"$mega" inspect ours >page && grep -q '4048 trainable parameters' page || fail "inspect says $(<page)"
"$mega" convert ours llama.bin --to llama2c
"$mega" convert llama.bin back --to hf
"$mega" convert back tensors.safetensors --to safetensors
"$mega" convert "$cases/b10_hf_untied" want.safetensors --to safetensors
cmp tensors.safetensors want.safetensors || fail "there and back changed the tensors"
"$mega" convert back again.bin --to llama2c
cmp llama.bin again.bin || fail "llama2.c files differ"

# two bytes a number: smaller, and stable
"$mega" convert ours narrow --to hf --dtype bfloat16
grep -q '"torch_dtype": "bfloat16"' narrow/config.json
"$mega" convert narrow narrow2 --to hf --dtype bfloat16
cmp narrow/model.safetensors narrow2/model.safetensors || fail "bfloat16 there and back"
refused 1 "--dtype is of --to hf alone" "$mega" convert ours x --dtype float16

# Llama's authors, and a checkpoint of llama2.c's training
for meta in "$here/../model/meta" "$here/../model/meta/ckpt.pt"; do
    rm -rf meta meta-hf meta.safetensors
    "$mega" convert "$meta" meta
    "$mega" convert meta meta-hf --to hf
    "$mega" convert meta-hf meta.safetensors --to safetensors
    cmp meta.safetensors want.safetensors || fail "$meta gives other tensors"
done
mkdir parts
cp "$here/../model/meta/"{params.json,consolidated.00.pth} parts
cp parts/consolidated.00.pth parts/consolidated.01.pth
refused 1 "parts holds parts for several devices" "$mega" convert parts x

# shards; a total that is wrong and a stray file are remarked upon with -v
for shards in b13_good b13_wrong_total b13_stray_single; do
    "$mega" convert "$cases/$shards" "$shards" -v 2>remarks
    cmp "$shards/model.safetensors" ours/model.safetensors || fail "$shards gives another model"
    [[ $shards == b13_good ]] || grep -q 'not heeded\|not read' remarks || fail "no remark on $shards"
done
refused 1 "shard model-00002-of-00002.safetensors is missing" "$mega" convert "$cases/b13_shard_missing" x
refused 1 "model.norm.weight is not in model-00001-of-00002.safetensors" "$mega" convert "$cases/b13_tensor_not_in_its_file" x
refused 1 "expected a file of the same folder" "$mega" convert "$cases/b13_path_escape" x

# and written: no file is larger than asked for but one with a single tensor; they read back as they were, and only together
"$mega" convert ours shards --to hf --max-shard-size 4kB
[[ ! -e shards/model.safetensors && $(ls shards/model-*-of-00005.safetensors | wc -l) == 5 ]] || fail "shards: $(ls shards)"
for shard in shards/model-*; do (($(stat -c %s $shard) < 4000 + 1000)) || fail "$shard has $(stat -c %s $shard) bytes"; done
grep -q '"total_size": 16192$' shards/model.safetensors.index.json || fail "the index: $(<shards/model.safetensors.index.json)"
[[ $(grep -c '"model-0000[1-5]-of-00005.safetensors"' shards/model.safetensors.index.json) == 21 ]] || fail "the index: $(<shards/model.safetensors.index.json)"
"$mega" convert shards joined.safetensors --to safetensors
cmp joined.safetensors want.safetensors || fail "shards there and back changed the tensors"
"$mega" convert ours single --to hf --max-shard-size 1GB && [[ $(ls single) == $'config.json\nmodel.safetensors' ]] || fail "one shard: $(ls single)"
"$mega" convert ours tiny-shards --to hf --max-shard-size 1 && [[ $(ls tiny-shards/model-*-of-00021.safetensors | wc -l) == 21 ]] || fail "a shard a tensor"
rm shards/model-00003-of-00005.safetensors
refused 1 "shard model-00003-of-00005.safetensors is missing" "$mega" convert shards x
refused 1 "--max-shard-size: '5 GB': expected a size such as 5GB" "$mega" convert ours x --to hf --max-shard-size "5 GB"
refused 1 "--max-shard-size: '0': expected a size" "$mega" convert ours x --to hf --max-shard-size 0
refused 1 "--max-shard-size is of --to hf alone" "$mega" convert ours x --max-shard-size 5GB

# a folder that holds a file of llama2.c, and one with two
mkdir bare two
cp llama.bin bare/any-name.bin
"$mega" convert bare from-bare && cmp from-bare/model.safetensors <("$mega" convert llama.bin from-file >&2 && cat from-file/model.safetensors) || fail "a folder with a file of llama2.c"
cp llama.bin two/a.bin && cp llama.bin two/b.bin
refused 1 "two holds several model files of llama2.c: name one of them, two/a.bin or two/b.bin" "$mega" convert two x

# GPT-2, checkpoints of Mega's authors, tensors without a model
"$mega" convert "$gpt2" gpt2 -v 2>remarks
grep -qx 'use_cache: plays no part' remarks || fail "-v said: $(<remarks)"
"$mega" convert gpt2 gpt2-hf --to hf
"$mega" convert gpt2-hf gpt2-back
cmp gpt2/model.safetensors gpt2-back/model.safetensors || fail "GPT-2 there and back"
for model in lra_text_pre_cls lra_image_bn_eval lm_post_embnorm; do
    "$mega" convert "$official/$model.pt" $model
    "$mega" inspect $model >/dev/null
done
"$mega" convert "$official/lra_text_pre_cls.pt" bare.safetensors --to safetensors
"$mega" convert bare.safetensors given --config lra_text_pre_cls/config.json
cmp given/model.safetensors lra_text_pre_cls/model.safetensors || fail "--config gives another model"

# other commands read a model of others as it is; a mean of them would need its configuration
refused 1 "b10_hf_untied is a model of another program" "$mega" average mean "$cases/b10_hf_untied" "$cases/b13_good"

# what cannot be is refused with one line, and leaves nothing
before=$(ls)
refused 1 "ours is there already" "$mega" convert back ours
refused 1 "this model is a classifier" "$mega" convert lra_text_pre_cls x --to hf
refused 1 "cannot have other norms than RMSNorm" "$mega" convert gpt2 x --to llama2c
refused 1 "the args of training are missing" "$mega" convert bare.safetensors x
refused 1 "neither a tensor nor plain data" "$mega" convert "$here/../format/torch/harm.pt" x
refused 1 "what model are these tensors?" "$mega" convert "$here/../format/torch/state.pt" x
refused 1 "cannot open nothing" "$mega" convert nothing x
mkdir strange
cp "$cases/b10_hf_untied/model.safetensors" strange
sed 's/"rope_theta": 10000.0/"rope_theta": 10000.0, "logit_scale": 2/' "$cases/b10_hf_untied/config.json" >strange/config.json
refused 1 "the key logit_scale is not known here and may change what the model computes" "$mega" convert strange x
"$mega" convert strange ignored --ignore logit_scale
cmp ignored/model.safetensors ours/model.safetensors || fail "--ignore"
# names and shapes are looked at before memory is taken
sed 's/"vocab_size": 16/"vocab_size": 1000000000/' "$cases/b10_hf_untied/config.json" >strange/config.json
refused 1 "tensor model.embed_tokens.weight is [16, 16] F32, expected [1000000000, 16] F32" "$mega" convert strange x
rm -r ignored strange
[[ $(ls -A | grep -v '^out$\|^err$') == "$(grep -v '^out$\|^err$' <<<"$before")" ]] || fail "left behind: $(ls)"

# a tokenizer goes along, and back out; one of another size does not
head -c 0 /dev/null >empty.json
refused 1 "empty.json" "$mega" convert back x --tokenizer empty.json
refused 1 "the tokenizer has 256 ids, the model knows 16" "$mega" convert back x --tokenizer bytes
[[ ! -e x && ! -e x.part ]] || fail "x was begun"

# real weights
weights=${MEGA_DATA:-$here/../../../shared/data}/weights/stories260K
if [[ -e $weights/stories260K.bin ]]; then
    "$mega" convert "$weights/stories260K.bin" tale --tokenizer "$weights/tok512.bin"
    # eval and score begin a text alike: behind the begin token
    printf 'Once upon a time, there was a little girl named Lily.' >tale.txt
    evaluated=$("$mega" eval tale tale.txt) scored=$("$mega" score tale tale.txt 2>/dev/null | tail -n 1)
    [[ $evaluated == *"start: the begin token" ]] || fail "$evaluated"
    awk -v a="${evaluated#*loss }" -v b="${scored#*nats, }" 'BEGIN { exit !(a - b < 1e-5 && b - a < 1e-5 && a > 0) }' ||
        fail "eval: $evaluated; score: $scored"
    "$mega" convert tale tale-hf --to hf
    for model in tale tale-hf; do
        { "$mega" generate $model --temperature 0 --tokens 200 -q && echo; } >told
        cmp told "$weights/greedy_200_no_prompt.txt" || fail "$model tells another story"
    done
    { "$mega" generate "$weights" --temperature 0 --tokens 200 -q && echo; } >told
    cmp told "$weights/greedy_200_no_prompt.txt" || fail "the folder itself tells another story"
    "$mega" convert "$weights/stories260K.bin" stories --to hf
    "$mega" convert stories stories.bin --to llama2c
    # all but the tables of cosines at the end, which nobody reads
    cmp -n 1040156 stories.bin "$weights/stories260K.bin" || fail "stories260K there and back"
fi
