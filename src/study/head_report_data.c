/* The report's numbers for other programs: JSON, and a line a head as CSV. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "format/node.h"
#include "study/head_report.h"
#include "study/head_role.h"

static mega_status save(struct mega_text *text, const char *path)
{
    mega_status status = text->failed
                             ? mega_fail(MEGA_NO_MEMORY, "report: no memory for %s", path)
                             : mega_file_write(path, text->data, text->size);
    mega_text_done(text);
    return status;
}

mega_status mega_head_report_csv(const struct mega_head_report *r, const char *path)
{
    const struct mega_head_table *table[MEGA_REPORT_TABLES];
    const char *name[MEGA_REPORT_TABLES];
    struct mega_text text = { 0 };
    for (int i = 0; i < r->n_tables; i++) {
        table[i] = r->table[i].table;
        name[i] = r->table[i].name;
    }
    mega_head_table_csv(table, name, r->n_tables, &text);
    return save(&text, path);
}

static void add_text(struct mega_text *to, const char *name, const char *text)
{
    mega_text_add(to, "\"%s\": ", name);
    mega_json_add_text(to, text, strlen(text));
}

/* [[{"role": "position", ..}, ..], ..], null where a head was removed */
static void add_roles(struct mega_text *to, const struct mega_head_report *r)
{
    const struct mega_head_table *t = &r->functions->confidence;
    mega_text_add(to, ",\n\"roles\": [");
    for (int64_t i = 0; i < t->layers * t->heads; i++) {
        struct mega_head_role role;
        mega_text_add(to, "%s", i % t->heads ? ", " : i ? "], [" : "[");
        if (isnan(t->value[i])) {
            mega_text_add(to, "null");
            continue;
        }
        mega_head_role_find(&role, r->functions, r->syntax, i);
        mega_text_add(to, "{");
        add_text(to, "kind", mega_head_role_names[role.kind]);
        mega_text_add(to, ", ");
        add_text(to, "says", role.words);
        mega_text_add(to, "}");
    }
    mega_text_add(to, "%s]", t->layers ? "]" : "");
}

static void add_steps(
    struct mega_text *to, const char *name, const struct mega_head_step *step, int64_t n)
{
    mega_text_add(to, "\"%s\": [", name);
    for (int64_t i = 0; i < n; i++) {
        mega_text_add(
            to, "%s{\"heads\": %lld, \"loss\": ", i ? ", " : "", (long long)step[i].heads);
        mega_json_add_real(to, step[i].loss);
        mega_text_add(to, "}");
    }
    mega_text_add(to, "]");
}

static void add_history(struct mega_text *to, const struct mega_gate_history *h)
{
    mega_text_add(to, ",\n\"history\": [");
    for (int64_t i = 0; i < h->n; i++) {
        mega_text_add(to, "%s{\"step\": %.0f, ", i ? ",\n" : "", h->moment[i].step);
        mega_head_table_json(&h->moment[i].gate, "gates", to);
        mega_text_add(to, "}");
    }
    mega_text_add(to, "]");
}

static void add_contributions(struct mega_text *to, const struct mega_head_text *t)
{
    const struct mega_contributions *c = &t->made_of;
    mega_text_add(to, ", \"predicted\": [");
    for (int64_t p = 0; p < c->predictions; p++) {
        if (p) mega_text_add(to, ", ");
        mega_json_add_text(to, t->predicted[p], strlen(t->predicted[p]));
    }
    mega_text_add(to, "]");
    mega_contributions_print_places(c, to);
    mega_text_add(to, ", \"made_of\": [");
    for (int64_t i = 0; i < c->predictions * c->places; i++)
        mega_text_add(to, "%s%.6g", i % c->places ? ", " : i ? "], [" : "[", c->share[i]);
    mega_text_add(to, "%s]", c->predictions ? "]" : "");
}

static void add_words(struct mega_text *to, const struct mega_head_report *r)
{
    mega_text_add(to, ",\n\"shown\": [");
    for (int64_t n = 0; n < r->n_texts; n++) {
        mega_text_add(to, "%s{\"tokens\": [", n ? ",\n" : "");
        for (int64_t i = 0; i < r->text[n].maps.T; i++) {
            if (i) mega_text_add(to, ", ");
            mega_json_add_text(to, r->text[n].token[i], strlen(r->text[n].token[i]));
        }
        mega_text_add(to, "]");
        if (r->text[n].made_of.predictions) add_contributions(to, &r->text[n]);
        mega_text_add(to, "}");
    }
    mega_text_add(to, "]");
}

mega_status mega_head_report_json(const struct mega_head_report *r, const char *path)
{
    struct mega_text text = { 0 }, *to = &text;
    mega_text_add(to, "{");
    add_text(to, "model", r->name);
    mega_text_add(to, ", ");
    add_text(to, "data", r->data);
    mega_text_add(to,
        ", \"counted_from\": 0, \"parameters\": %lld, \"texts\": %lld, \"places\": %lld, "
        "\"loss\": ",
        (long long)mega_model_parameters(r->model), (long long)r->texts, (long long)r->places);
    mega_json_add_real(to, r->loss);
    for (int i = 0; i < r->n_tables; i++) {
        mega_text_add(to, ",\n");
        mega_head_table_json(r->table[i].table, r->table[i].name, to);
    }
    if (r->functions) add_roles(to, r);
    if (r->removal && r->removal->steps) {
        mega_text_add(to, ",\n\"removal\": {");
        add_steps(to, "gradient", r->removal->step, r->removal->steps);
        mega_text_add(to, ", ");
        add_steps(to, "random", r->removal->random, r->removal->randoms);
        mega_text_add(to, "}");
    }
    if (r->history->n) add_history(to, r->history);
    add_words(to, r);
    mega_text_add(to, "}\n");
    return save(to, path);
}
