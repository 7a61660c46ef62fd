#!/usr/bin/env bash
# Damaged and foreign model files, full disks: one message, status 1, nothing lost.
source "$(dirname "$0")/lib.sh"
tiny "$cases/a06_7rows.tsv" >r.yaml
"$mega" train r.yaml --run run -q
rows=$cases/a06_7rows.tsv
"$mega" inspect run >/dev/null && "$mega" verify run >/dev/null && "$mega" eval run "$rows" >/dev/null

damaged() { # TEXT: the message about the model in m/
    refused 1 "$1" "$mega" eval m "$rows"
    refused 1 "$1" "$mega" inspect m
    rm -rf m && cp -rL run/best m
}
cp -rL run/best m
for size in 0 7 100 1000; do
    head -c $size run/best/model.safetensors >m/model.safetensors
    damaged model.safetensors
done
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n' >m/model.safetensors
damaged "Git LFS pointer"
printf 'PK\3\4aaaaaaaaaaa' >m/model.safetensors
damaged "ZIP"
printf '\x80\x02aaaaaaaaaaa' >m/model.safetensors
damaged "pickle"
sed -i 's/"layers": 2/"layers": 3/' m/config.json
damaged "layers.2."
sed -i 's/"width": 12/"width": 13/' m/config.json
damaged "expected [17, 13]"
sed -i 's/"width": 12,/"width": 12, "width": 12,/' m/config.json
damaged "the key \"width\" stands here for the second time"
sed -i 's/"megac": 1/"megac": 99/' m/config.json
damaged "use a newer one"
: >m/config.json
damaged "config.json:1:1: expected a value"
rm m/model.safetensors
damaged "No such file"
# a flipped bit in a weight is no format error, but the stored outputs tell
size=$(stat -c %s m/model.safetensors)
printf '\x7f' | dd of=m/model.safetensors bs=1 seek=$((size - 1)) conv=notrunc status=none
refused 1 "differ from the stored ones" "$mega" verify m
"$mega" average mean run/step-000006 run/step-000012 >/dev/null
refused 1 "is there already" "$mega" average mean run/step-000006 run/step-000012

# no room: EFBIG and SIGXFSZ end in a message; the run goes on when there is room again
refused 1 "File too large" bash -c "ulimit -f 4; exec $mega train r.yaml --run small -q"
refused 1 "cannot" "$mega" train r.yaml --run /proc/nowhere -q
"$mega" train r.yaml --run small --resume auto -q
[[ $(model_of run 12) == "$(model_of small 12)" ]] || fail "a run that met a full disk ends in another model"
refused 1 "Is a directory" "$mega" eval run .
refused 1 "/dev/null holds no rows" "$mega" eval run /dev/null

"$mega" report run >/dev/null
! grep -qE 'https?://|<script' run/report.html || fail "the report reaches out"
