/* Which sublayers there are and in which order: slot M2. */
#include "model/variants.h"

const struct mega_variant mega_variants_plan[] = {
    { .name = "sandwich-order",
        .title = "reordered sublayers: sandwich",
        .paper = "1911.03864",
        .slot = "M2",
        .options = "sandwich_coef=N",
        .adds = "",
        .cost = "none",
        .executor = "",
        .mathematics = "a^s (a f)^(L-s) f^s in place of (a f)^L",
        .pitfalls = "6 of 16 layers is what the paper found. Nothing to do with the norms of "
                    "placement: sandwich.",
        .conflicts = "par_ratio, layer_types, weight_tie_layers; N above layers" },
    { .name = "par",
        .title = "PAR: fewer attentions, none near the end",
        .paper = "2009.04534",
        .slot = "M2",
        .options = "par_ratio=N",
        .adds = "feed-forwards in place of attentions",
        .cost = "one attention in N sublayers",
        .executor = "",
        .mathematics = "of 2 L sublayers A = 2L / N are attentions, spread over the first two "
                       "thirds, each followed by feed-forwards",
        .pitfalls = "5 is what the paper found.",
        .conflicts = "sandwich_coef, layer_types, weight_tie_layers" },
    { .name = "custom-order",
        .title = "sublayers by hand",
        .paper = "1911.03864",
        .slot = "M2",
        .options = "layer_types=TEXT",
        .more = "layer_order|repeat_blocks",
        .adds = "as the text says",
        .cost = "as the text says",
        .executor = "",
        .mathematics =
            "a attention, c attention to a context, f feed-forward: affa. layer_order "
            "lists the sublayers as they are executed",
        .pitfalls =
            "layers is not looked at. Without any f it is an all-attention network: give "
            "it attn_num_mem_kv.",
        .conflicts = "sandwich_coef, par_ratio, weight_tie_layers" },
    { .name = "by-layer",
        .title = "layers that differ: some without positions, some with a window",
        .paper = "2501.18399, 2408.00118",
        .slot = "M2",
        .options = "by_layer=TEXT",
        .adds = "as the options of each layer say",
        .cost = "as the options of each layer say",
        .executor = "",
        .mathematics =
            "by_layer: \"3-/4: rotary=none; 0 2: max_attend_past=64 dropout=0.1\": layers "
            "count "
            "from 0, attentions and feed-forwards each for themselves; 3- is from there on, "
            "3-/4 every fourth of these. A list in place of one value is the same: rotary: "
            "[rope, rope, rope, none], whose last value holds for all that follow. Single "
            "layers "
            "may have rotary (and what belongs to it), rel_pos=none, qk_norm, value_norm, "
            "attn_fn, attn_score, attn_scale, attn_exec, attn_softclamp, attn_sink, "
            "attn_zero_kv, "
            "attn_num_mem_kv, attn_laser, attn_talking_heads, attn_selective, max_attend_past, "
            "attn_head_scale, attn_gate_values, attn_gate_heads, attn_on_attn, attn_belief, "
            "attn_hybrid (and what belongs to each), attention_bias, activation, gated, "
            "up_bias, "
            "down_bias, norm (and what belongs to it), dropout, attention_dropout, "
            "hidden_dropout. heads, kv_heads, keys, values, chunk, ffn and layer_dropout take "
            "lists by themselves.",
        .pitfalls =
            "What layers share or hand on is of all together: rel_pos of another kind, "
            "residual_attn, value_residual, placement, max_mem_len. The final norm is the "
            "model's.",
        .conflicts = "options of all layers together" },
    { .name = "tied-layers",
        .title = "all layers are one (ALBERT)",
        .paper = "1909.11942",
        .slot = "M2",
        .options = "weight_tie_layers=true",
        .adds = "divides the layers' parameters by L",
        .cost = "none",
        .executor = "",
        .mathematics = "one layer, executed L times; its gradient is the sum",
        .pitfalls = "Caches are an execution's, not a layer's.",
        .conflicts = "sandwich_coef, par_ratio, layer_types" },
    { .name = "macaron",
        .title = "Macaron: half a feed-forward on either side",
        .paper = "1906.02762, 2005.08100",
        .slot = "M2, B3",
        .options = "macaron=true",
        .adds = "one more feed-forward a layer",
        .cost = "+4 D F a token; take half of ffn for as many parameters",
        .executor = "",
        .mathematics = "f a f; both feed-forwards times 1/2",
        .pitfalls = "The half stands behind a norm of the branch, which would undo it.",
        .conflicts = "plans without a feed-forward" },
    { .name = "layer-dropout",
        .title = "layer dropout",
        .paper = "1603.09382",
        .slot = "M2",
        .options = "layer_dropout=N",
        .more = "drop_path",
        .adds = "",
        .cost = "saves what is left out",
        .executor = "",
        .mathematics = "training leaves a whole sublayer out, one draw a step; drop_path: one "
                       "draw a row, and what stays is rescaled",
        .pitfalls = "A list gives each sublayer a rate of its own.",
        .conflicts = "residual_attn" },
    { .name = "cross-attention",
        .title = "attention to a context",
        .paper = "1706.03762",
        .slot = "M2, A1",
        .options = "cross_attend=true",
        .more =
            "only_cross|context_dim|cross_attn_num_mem_kv|cross_attn_fn|cross_residual_attn",
        .adds = "one more attention a layer: attn.k, attn.v from Dc channels",
        .cost = "+2 (D H d + Dc G (d + dv) + H dv D) a token, + 4 H d for each place of the "
                "context",
        .executor = "tiles",
        .mathematics = "a c f: queries from the text, keys and values from the context; never "
                       "causal, without positions; cross_attn_X is attn_X of these alone",
        .pitfalls = "The context comes with the call: see the C interface. only_cross: c f, a "
                    "text that does not look at itself.",
        .conflicts = "calls without a context" },
    { .name = "recycling",
        .title = "the stack's output once more as its input",
        .paper = "",
        .slot = "M2",
        .options = "recycle_steps=N",
        .adds = "recycle.weight [D, D], N(0, 0.02^2)",
        .cost = "N times the FLOPs",
        .executor = "",
        .mathematics =
            "X_n = X_0 + W out_(n-1), out_(n-1) what the stack gave of X_(n-1), after its "
            "final norm, without gradient; N passes",
        .pitfalls = "Gradients go through the last pass alone. A text cannot be read piece by "
                    "piece, so generation is refused.",
        .conflicts = "max_mem_len" },
    { .name = "looped",
        .title = "a looped stack with an exit gate",
        .paper = "2510.25741",
        .slot = "M2, M4",
        .options = "loops=N",
        .more = "eval_loops|exit_at|exit_entropy",
        .adds = "exit.weight [1, D], N(0, 0.02^2); exit.bias [1], 0",
        .cost = "N times the FLOPs of the stack, in training N times those of the head",
        .executor = "",
        .mathematics = "X_t = stack(X_(t-1)), t = 1 ... N; z_t = w . X_t + b, p_t = "
                       "sigmoid(z_t) prod_(s < "
                       "t) sigmoid(-z_s), and p_N takes the rest; training: sum_t p_t loss_t - "
                       "exit_entropy "
                       "H(p), for each token; otherwise the logits of X_N, or of the first X_t "
                       "at which p_1 "
                       "+ ... + p_t >= exit_at",
        .pitfalls =
            "The loss that training prints is the expected one, without the entropy. Each loop "
            "has keys and values of its own, so a stream computes all loops of every token, "
            "whatever exit_at says; whole rows stop when all their tokens are left. eval_loops "
            "may be more than training had.",
        .conflicts = "placements other than pre_post, recycle_steps, shift_mem_down, encoders, "
                     "attention to a context" },
    { .name = NULL },
};
