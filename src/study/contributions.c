#include "study/contributions.h"

#include <stdlib.h>

#include "study/head_relevance.h"

static mega_status fill(struct mega_contributions *c, const struct mega_study_reading *s,
    const struct mega_relevance_rule *rule, struct mega_head_table *t, double *steps)
{
    for (int64_t p = 0; p < c->predictions; p++) {
        c->predicted[p] = mega_study_predicted(s, p);
        MEGA_TRY(mega_study_relevance_at(
            s, rule, p, c->predicted[p], t, steps, c->share + p * c->places));
    }
    return MEGA_OK;
}

mega_status mega_study_contributions(struct mega_contributions *c, mega_run *r,
    const mega_model *m, bool zplus, struct mega_batch *b)
{
    struct mega_study_reading s;
    struct mega_head_table t = { 0 };
    struct mega_model_heads h;
    struct mega_relevance_rule rule = mega_relevance_rule_of(zplus);
    *c = (struct mega_contributions){ 0 };
    MEGA_TRY(mega_model_heads_find(&h, m));
    mega_status status = mega_study_reading_new(&s, m);
    if (!status) status = mega_study_reading_run(&s, r, b);
    if (!status) status = mega_head_table_new(&t, &h);
    double *steps = calloc((size_t)h.layers + 1, sizeof *steps);
    for (int64_t k = 0; k < s.passes && !status; k++) c->places += s.pass[k].T;
    c->predictions = s.predictions;
    c->share = calloc((size_t)(c->predictions * c->places) + 1, sizeof *c->share);
    c->predicted = calloc((size_t)c->predictions + 1, sizeof *c->predicted);
    if (!status && (!steps || !c->share || !c->predicted))
        status = mega_fail(MEGA_NO_MEMORY, "no memory for contributions");
    if (!status) status = fill(c, &s, &rule, &t, steps);
    c->at = s.at;
    s.at = NULL;
    free(steps);
    mega_head_table_free(&t);
    mega_study_reading_free(&s);
    mega_model_heads_done(&h);
    if (status) mega_contributions_free(c);
    return status;
}

void mega_contributions_print_places(const struct mega_contributions *c, struct mega_text *to)
{
    if (!c->at) return;
    for (int64_t p = 0; p < c->predictions; p++)
        mega_text_add(to, "%s%lld", p ? ", " : ", \"hidden\": [", (long long)c->at[p]);
    mega_text_add(to, c->predictions ? "]" : ", \"hidden\": []");
}

void mega_contributions_free(struct mega_contributions *c)
{
    free(c->share);
    free(c->predicted);
    free(c->at);
    *c = (struct mega_contributions){ 0 };
}
