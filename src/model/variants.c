#include "model/variants.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

extern const struct mega_variant mega_variants_ends[], mega_variants_plan[],
    mega_variants_stream[], mega_variants_feed_forward[], mega_variants_heads[],
    mega_variants_scores[];

const struct mega_variant *const mega_variant_groups[] = { mega_variants_ends,
    mega_variants_plan, mega_variants_stream, mega_variants_feed_forward, mega_variants_heads,
    mega_variants_scores, NULL };

const char mega_variant_core[] =
    "layers|width|ffn|ff_mult|longest|heads|keys|values|chunk|attention_bias|head_bias|"
    "norm_affine|norm_bias|norm_eps|final_norm|init_std|attn_init|zero_init_branch_output|"
    "branch_init_depth|attn_scale|"
    "dropout|emb_dropout|attention_dropout|hidden_dropout|sublayer_dropout|"
    "cross_token_dropout|recompute|kept_heads|kept_cross_heads|kept_channels";

const struct mega_variant *mega_variant_find(const char *name)
{
    for (const struct mega_variant *const *g = mega_variant_groups; *g; g++)
        for (const struct mega_variant *v = *g; v->name; v++)
            if (!strcmp(v->name, name)) return v;
    return NULL;
}

const char *mega_variant_nearest(const char *name)
{
    const char *nearest = NULL;
    for (const struct mega_variant *const *g = mega_variant_groups; *g; g++)
        for (const struct mega_variant *v = *g; v->name; v++)
            mega_text_nearer(&nearest, v->name, name);
    return nearest;
}

bool mega_variant_setting(const struct mega_variant *v, int i, char name[64], char value[64])
{
    const char *at = v->options;
    for (int n = 0; *at; i--, at += n) {
        at += strspn(at, " ");
        n = (int)strcspn(at, " ");
        if (i) continue;
        int cut = (int)strcspn(at, "=");
        snprintf(name, 64, "%.*s", cut, at);
        snprintf(value, 64, "%.*s", n - cut - 1, at + cut + 1);
        return true;
    }
    return false;
}

/* a number or text of one's own is written in capitals */
static bool is_free(const char *value)
{
    return *value >= 'A' && *value <= 'Z';
}

bool mega_variant_is_in(const struct mega_variant *v, const struct mega_option *table)
{
    char name[64], value[64];
    for (int i = 0; mega_variant_setting(v, i, name, value); i++) {
        const struct mega_option *o = mega_option_find(table, name);
        bool choice = o && o->type == MEGA_OPTION_CHOICE && !is_free(value);
        if (!o || (choice && mega_choice_find(o->choices, value) < 0)) return false;
    }
    return true;
}
