#include "study/gate_history.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/node.h"

/* numbers of one line into the heads that are left; false: they are not this model's */
static bool take(struct mega_head_table *t, const struct mega_model_heads *heads,
    const struct mega_node *list)
{
    const struct mega_node *layer = list->first;
    for (int64_t l = 0; l < heads->layers; l++) {
        const struct mega_kept_heads *kept = &heads->layer[l].attention->kept;
        const struct mega_node *gate = layer ? layer->first : NULL;
        for (int64_t k = 0; k < kept->heads; k++) {
            if (!gate || (gate->kind != MEGA_NODE_INT && gate->kind != MEGA_NODE_REAL))
                return false;
            *mega_head_at(t, l, kept->number[k]) = gate->real;
            gate = gate->next;
        }
        if (!layer || gate) return false;
        layer = layer->next;
    }
    return !layer;
}

static mega_status add_line(struct mega_gate_history *h, const struct mega_model_heads *heads,
    const char *line, size_t n)
{
    struct mega_document d;
    if (mega_json_parse(&d, "log.jsonl", line, n)) return MEGA_OK; /* a broken line */
    const struct mega_node *gates = mega_node_find(d.root, "gates"),
                           *step = mega_node_find(d.root, "step");
    mega_status status = MEGA_OK;
    struct mega_gate_moment m = { 0 };
    if (gates && gates->kind == MEGA_NODE_LIST && step && step->kind == MEGA_NODE_INT) {
        m.step = step->real;
        status = mega_head_table_new(&m.gate, heads);
        struct mega_gate_moment *more =
            status ? NULL : realloc(h->moment, (size_t)(h->n + 1) * sizeof *more);
        if (!status && !more) status = mega_fail(MEGA_NO_MEMORY, "no memory for a run's gates");
        if (more) h->moment = more;
        if (!status && take(&m.gate, heads, gates))
            h->moment[h->n++] = m;
        else
            mega_head_table_free(&m.gate);
    }
    mega_document_done(&d);
    return status;
}

mega_status mega_gate_history_read(
    struct mega_gate_history *h, const char *path, const struct mega_model_heads *heads)
{
    struct mega_text text = { 0 };
    *h = (struct mega_gate_history){ 0 };
    if (!mega_path_exists(path)) return MEGA_OK;
    mega_status status = mega_file_read(path, &text);
    for (const char *at = text.data, *end = at ? at + text.size : at; !status && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        static const char mark[] = "\"gates\"";
        bool has = false;
        for (size_t i = 0; i + sizeof mark - 1 <= n && !has; i++)
            has = !memcmp(at + i, mark, sizeof mark - 1);
        if (has) status = add_line(h, heads, at, n);
        at += n + 1;
    }
    mega_text_done(&text);
    if (status) mega_gate_history_free(h);
    return status;
}

void mega_gate_history_free(struct mega_gate_history *h)
{
    for (int64_t i = 0; i < h->n; i++) mega_head_table_free(&h->moment[i].gate);
    free(h->moment);
    *h = (struct mega_gate_history){ 0 };
}

int64_t mega_gate_history_closed(const struct mega_gate_history *h, int64_t cell)
{
    int64_t from = h->n;
    while (from > 0 && h->moment[from - 1].gate.value[cell] <= 0) from--;
    return from < h->n ? from : -1;
}
