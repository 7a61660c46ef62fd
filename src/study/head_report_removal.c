/* What the loss is while heads go, and what those that are left do. */
#include <math.h>
#include <stdlib.h>

#include "study/head_report.h"
#include "study/head_role.h"
#include "train/report_chart.h"

static bool make_curve(
    struct mega_curve *c, const struct mega_head_step *step, int64_t n, double heads)
{
    *c = (struct mega_curve){ .n = (int)n };
    c->at = malloc((size_t)(n + 1) * sizeof *c->at);
    for (int64_t i = 0; c->at && i < n; i++)
        c->at[i] = (struct mega_point){ heads - (double)step[i].heads, step[i].loss };
    return c->at;
}

static void add_losses(struct mega_text *to, const struct mega_head_removal *m)
{
    struct mega_curve by, chance;
    double heads = (double)m->step[0].heads;
    bool room = make_curve(&by, m->step, m->steps, heads);
    room &= make_curve(&chance, m->random, m->randoms, heads);
    struct mega_chart_line line[] = { { "by importance, judged anew", 0, true, &by },
        { "by chance", 1, true, &chance } };
    struct mega_chart chart = { .quantity = { "loss", "Loss while heads go", "nats", 1, true,
                                    false },
        .x = "closed",
        .wide = true,
        .line = line,
        .n_lines = 2 };
    if (room) mega_chart_add(to, &chart);
    free(by.at);
    free(chance.at);
}

/* a column a step, a square a head, those that do the same together */
static void add_left(struct mega_text *to, const struct mega_head_report *r)
{
    const struct mega_head_removal *m = r->removal;
    const struct mega_head_table *t = &m->until;
    const char *high = m->step[0].heads > 64 ? "3px" : m->step[0].heads > 24 ? "7px" : "14px";
    mega_text_add(to,
        "<section class='card'><h3>What the heads that are left do</h3><p><small>A column a "
        "step of the removal by importance, a square a head, with the function that it had in "
        "the whole model; below: how many are left.</small></p><div class='columns' "
        "style='--high:%s'>\n",
        high);
    for (int64_t step = 0; step < m->steps; step++) {
        mega_text_add(to, "<div>");
        for (int kind = MEGA_ROLE_NONE; kind < MEGA_ROLES; kind++)
            for (int64_t i = 0; i < t->layers * t->heads; i++) {
                struct mega_head_role role;
                if (!(t->value[i] >= (double)step) || !m->step[step].heads) continue;
                mega_head_role_find(&role, r->functions, r->syntax, i);
                if ((int)role.kind == kind)
                    mega_text_add(to, "<i class='%s' title='%lld.%lld %s'></i>",
                        mega_head_role_names[kind], (long long)(i / t->heads),
                        (long long)(i % t->heads), role.words);
            }
        mega_text_add(to, "%lld</div>", (long long)m->step[step].heads);
    }
    mega_text_add(to,
        "</div><div class='key'><span><span class='swatch "
        "position'></span>offset</span>%s<span>"
        "<span class='swatch rare'></span>rarest token</span><span><span class='swatch' "
        "style='--tone:140,150,165'></span>none of these</span></div></section>\n",
        r->syntax ? "<span><span class='swatch syntax'></span>syntax</span>" : "");
}

void mega_head_report_removal(struct mega_text *to, const struct mega_head_report *r)
{
    if (!r->removal || !r->removal->steps) return;
    mega_text_add(to, "<section><h2>Without heads</h2><p><small>Heads are closed one after the "
                      "other, without any training in between; the loss is that of the same "
                      "data.</small></p>\n<div class='charts'>\n");
    add_losses(to, r->removal);
    mega_text_add(to, "</div></section>\n");
    if (r->functions) add_left(to, r);
}
