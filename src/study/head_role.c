#include "study/head_role.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const mega_head_role_names[MEGA_ROLES] = { "none", "position", "syntax", "rare" };

/* short and long, in the order of mega_syntax_names: from the dependent to its head, and back
 */
static const char *const relations[MEGA_SYNTAX_SCORES][2] = { { "s-v", "subject to verb" },
    { "v-s", "verb to subject" }, { "o-v", "object to verb" }, { "v-o", "verb to object" },
    { "a-n", "adjective to noun" }, { "n-a", "noun to adjective" },
    { "adv-v", "adverb to verb" }, { "v-adv", "verb to adverb" } };

static void add(struct mega_head_role *r, enum mega_head_role_kind kind, double share,
    const char *label, const char *words)
{
    size_t used = strlen(r->words);
    snprintf(r->words + used, sizeof r->words - used, "%s%s: %.0f %%", used ? "; " : "", words,
        100 * share);
    /* of several relations the one that it follows most */
    bool better = !r->count || (kind == r->kind && share > r->share);
    if (better) {
        r->kind = kind;
        r->share = share;
        snprintf(r->label, sizeof r->label, "%s", label);
    }
    r->count++;
}

void mega_head_role_find(struct mega_head_role *role, const struct mega_head_functions *f,
    const struct mega_head_syntax *syntax, int64_t cell)
{
    char label[16], words[64];
    *role = (struct mega_head_role){ .kind = MEGA_ROLE_NONE };
    if (isnan(f->confidence.value[cell])) return;
    if (mega_head_is_positional(f->position.value[cell])) {
        snprintf(label, sizeof label, "%+.0f", f->where.value[cell]);
        snprintf(words, sizeof words, "offset %+.0f", f->where.value[cell]);
        add(role, MEGA_ROLE_POSITION, f->position.value[cell], label, words);
    }
    for (int k = 0; syntax && k < MEGA_SYNTAX_SCORES; k++) {
        double score = syntax->score[k].value[cell];
        if (syntax->pairs[k] > 0 && mega_head_is_syntactic(score, syntax->baseline[k]))
            add(role, MEGA_ROLE_SYNTAX, score, relations[k][0], relations[k][1]);
    }
    if (f->rarest.value[cell] > 0.5)
        add(role, MEGA_ROLE_RARE, f->rarest.value[cell], "r", "rarest token");
}
