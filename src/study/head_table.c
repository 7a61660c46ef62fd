#include "study/head_table.h"

#include <math.h>
#include <stdlib.h>

#include "format/node.h"

mega_status mega_head_table_new(struct mega_head_table *t, const struct mega_model_heads *h)
{
    *t = (struct mega_head_table){ .layers = h->layers, .heads = h->most };
    int64_t n = t->layers * t->heads;
    t->value = malloc((size_t)(n + 1) * sizeof *t->value);
    if (!t->value) return mega_fail(MEGA_NO_MEMORY, "no memory for a table of heads");
    for (int64_t i = 0; i < n; i++) t->value[i] = NAN;
    for (int64_t i = 0; i < h->layers; i++) {
        const struct mega_kept_heads *kept = h->layer[i].kept;
        for (int64_t k = 0; k < kept->heads; k++) *mega_head_at(t, i, kept->number[k]) = 0;
    }
    return MEGA_OK;
}

void mega_head_table_free(struct mega_head_table *t)
{
    free(t->value);
    *t = (struct mega_head_table){ 0 };
}

int64_t mega_head_table_count(const struct mega_head_table *t)
{
    int64_t n = 0;
    for (int64_t i = 0; i < t->layers * t->heads; i++) n += !isnan(t->value[i]);
    return n;
}

void mega_head_table_normalise(struct mega_head_table *t)
{
    for (int64_t l = 0; l < t->layers; l++) {
        double squares = 0;
        for (int64_t h = 0; h < t->heads; h++) {
            double v = *mega_head_at(t, l, h);
            squares += isnan(v) ? 0 : v * v;
        }
        for (int64_t h = 0; h < t->heads && squares > 0; h++)
            *mega_head_at(t, l, h) /= sqrt(squares);
    }
}

static void add_number(struct mega_text *to, double v)
{
    if (isnan(v))
        mega_text_add(to, "null");
    else
        mega_json_add_real(to, v);
}

void mega_head_table_json(
    const struct mega_head_table *t, const char *name, struct mega_text *to)
{
    mega_text_add(to, "\"%s\": [", name);
    for (int64_t l = 0; l < t->layers; l++) {
        mega_text_add(to, "%s[", l ? ", " : "");
        for (int64_t h = 0; h < t->heads; h++) {
            if (h) mega_text_add(to, ", ");
            add_number(to, *mega_head_at(t, l, h));
        }
        mega_text_add(to, "]");
    }
    mega_text_add(to, "]");
}

void mega_head_table_csv(const struct mega_head_table *const table[], const char *const name[],
    int n, struct mega_text *to)
{
    mega_text_add(to, "layer,head");
    for (int i = 0; i < n; i++) mega_text_add(to, ",%s", name[i]);
    mega_text_add(to, "\n");
    for (int64_t l = 0; n && l < table[0]->layers; l++)
        for (int64_t h = 0; h < table[0]->heads; h++) {
            if (isnan(*mega_head_at(table[0], l, h))) continue;
            mega_text_add(to, "%lld,%lld", (long long)l, (long long)h);
            for (int i = 0; i < n; i++)
                mega_text_add(to, ",%.9g", *mega_head_at(table[i], l, h));
            mega_text_add(to, "\n");
        }
}

void mega_head_table_print(const struct mega_head_table *t, struct mega_text *to)
{
    mega_text_add(to, "layer");
    for (int64_t h = 0; h < t->heads; h++) mega_text_add(to, "  %8lld", (long long)h);
    for (int64_t l = 0; l < t->layers; l++) {
        mega_text_add(to, "\n%5lld", (long long)l);
        for (int64_t h = 0; h < t->heads; h++) {
            double v = *mega_head_at(t, l, h);
            if (isnan(v))
                mega_text_add(to, "  %8s", "-");
            else
                mega_text_add(to, "  %8.4g", v);
        }
    }
    mega_text_add(to, "\n");
}
