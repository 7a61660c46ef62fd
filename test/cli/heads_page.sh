#!/usr/bin/env bash
# The page of mega heads report as a browser shows it: what its script draws, its orders, its sizes, and that it asks for nothing.
# Skipped where there is no Chromium (script/setup --ci installs it). MEGA_SHOTS: a folder that screenshots are kept in.
source "$(dirname "$0")/lib.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[[ $browser ]] || exit 77

seq 1 900 | sed 's/$/ bottles of ink on the shelf/' >text.txt
cat >r.yaml <<'END'
task: { name: lm, tokenizer: bytes, train: text.txt, cache: none, length: 32 }
model: { decoder: transformer, layers: 2, width: 16, heads: 4, ffn: 16, positions: learned, longest: 128, attention_bias: true,
    head_gates: concrete, gate_init: 0 }
optim: { lr: 3e-3, steps: 24, schedule: constant }
train: { batch: 8, validate_every: 6, save_every: 24, keep: 0 }
heads: { penalty: 0.3, rate: 30, warmup: 4, finish: 20, keep: 3 }
END
"$mega" train r.yaml --run a -q

# browse NAME WIDTH [OPTION...]: NAME.html drawn at a width, as NAME.png; its document after all scripts is NAME.dom
browse() {
    local name=$1 width=$2 status=0
    shift 2
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --disable-extensions --user-data-dir="$tmp/profile" --enable-logging=stderr \
        --window-size="$width,2000" --virtual-time-budget=4000 --screenshot="$tmp/$name.png" --dump-dom "$@" "file://$tmp/$name.html" \
        >"$name.dom" 2>"$name.err" || status=$?
    [[ $status == 0 && -s $name.png ]] || fail "the browser ended with $status: $(tail -5 "$name.err")"
    ! grep ':CONSOLE' "$name.err" || fail "$name.html has something to say"
    [[ ! ${MEGA_SHOTS-} ]] || cp "$name.png" "$MEGA_SHOTS/"
}

# what a person would do: point at a map, enlarge it, sort the heads, move a slider; told as attributes of the body
cat >probe.html <<'END'
<script>
function say(name, value) { document.body.setAttribute('data-' + name, value); }
var map = document.querySelector('.maps + .maps figure svg'), box = map.getBoundingClientRect();
function at(x, y) { map.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: box.left + x * box.width, clientY: box.top + y * box.height })); }
at(0.01, 0.01); say('tip', document.querySelector('.tip').textContent);
at(0.99, 0.01); say('later', document.querySelector('.tip').textContent);
say('fits', document.documentElement.scrollWidth <= innerWidth);
say('seen', [].filter.call(document.querySelectorAll('figure, .heads td'), function (f) { return f.getBoundingClientRect().width > 4; }).length);
function row() {
    return [].slice.call(document.querySelectorAll('.heads')[0].rows[2].querySelectorAll('td')).sort(function (a, b) {
        return a.getBoundingClientRect().left - b.getBoundingClientRect().left;
    }).map(function (td) { return +td.title.split(': ')[1].split(' ')[0]; });
}
document.querySelector('label[for=by-rank]').click();
var ranked = row(); say('ranked', ranked.slice(1).every(function (v, i) { return !(v > ranked[i]); }));
document.querySelector('label[for=by-number]').click();
say('heads', document.querySelectorAll('.heads')[0].rows[0].textContent);
map.parentNode.focus({ preventScroll: true });
say('wide', map.getBoundingClientRect().width >= 400 && getComputedStyle(map.querySelector('.labels')).display !== 'none');
document.activeElement.blur();
var slider = document.querySelector('.density .log-a');
if (slider) {
    say('shut', document.querySelector('.shut').textContent);
    slider.value = 1; slider.dispatchEvent(new Event('input'));
    say('full', document.querySelector('.full').textContent); say('gate', document.querySelector('.gate').textContent);
    say('curve', document.querySelector('.curve').getAttribute('d').split('L').length);
}
</script>
END
told() { grep -o "<body[^>]*" "$1.dom" | grep -o " data-$2=\"[^\"]*\"" | sed 's/^[^"]*"//; s/"$//'; }
# a window that the browser gives no focus to, which happens on a busy machine, enlarges nothing: then another one is opened
browse_focused() { for _ in 1 2 3; do browse "$@" && [[ $(told "$1" wide) != true ]] || return 0; done; }
expect() { [[ $(told "$1" "$2") == "$3" ]] || fail "$1: $2 is '$(told "$1" "$2")', expected '$3'"; }

"$mega" heads report a text.txt --texts 4 --length 24 --show 2 --relevance --ablation --removal 4 --out page.html >/dev/null
cat page.html probe.html >probed.html
browse page 1280
browse_focused probed 1280
expect probed fits true
expect probed ranked true
expect probed heads layer0123
expect probed wide true
# P(0) of log_a 0, then P(1) and the gate of evaluation of log_a 1
expect probed shut 0.3119
expect probed full 0.5520
expect probed gate 0.7773
expect probed curve 201
[[ $(told probed tip) == *"(0) → "*"(0): 1.00" ]] || fail "the first query is said to look at: $(told probed tip)"
[[ $(told probed later) == *"(0) → "*"(23): 0.00" ]] || fail "the first query is said to look ahead: $(told probed later)"
(($(told probed seen) >= 8 * 10)) || fail "the browser sees $(told probed seen) cells and pictures"
for words in 'Relevance' 'Ablation' 'Closed for good' 'Loss while heads go' 'What the heads that are left do' 'Relevance: of which places' \
    'Entropy of what a prediction is made of' 'Heads that are not closed, by depth' 'Heads expected open'; do
    grep -q "$words" page.dom || fail "the page has no '$words'"
done
browse probed 500
expect probed fits true
cmp -s page.png probed.png && fail "a narrow page looks like a wide one"

# two heads of one layer, many heads of many, a text that is drawn in blocks
for heads in 1:2 32:32; do
    layers=${heads%:*} heads=${heads#*:}
    sed -e "s/layers: 2/layers: $layers/; s/width: 16/width: $((heads * 2))/; s/heads: 4/heads: $heads/; s/head_gates: concrete, gate_init: 0/head_gates: none/" \
        -e '/^heads:/d; s/steps: 24/steps: 1/' r.yaml >"r$heads.yaml"
    "$mega" train "r$heads.yaml" --run "m$heads" -q
    "$mega" heads report "m$heads" text.txt --texts 1 --length 100 --maps 40 --out "m$heads.html" >/dev/null
    cat "m$heads.html" probe.html >"p$heads.html"
    browse_focused "p$heads" 1280
    expect "p$heads" fits true
    expect "p$heads" ranked true
    expect "p$heads" wide true
    [[ $(told "p$heads" tip) == *"places 0–2 → "*"places 0–2: "* ]] || fail "a block is said to look at: $(told "p$heads" tip)"
done
grep -q '40 of 1024 heads, the most important' m32.html || fail "1024 maps are not cut down to 40"
(($(stat -c %s m32.html) < 3000000)) || fail "the page of 1024 heads has $(stat -c %s m32.html) bytes"
