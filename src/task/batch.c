#include "task/batch.h"

#include "graph/ops.h"

void mega_host_done(struct mega_host *h)
{
    mega_host_batch_done(&h->rows);
    mega_text_batch_done(&h->text);
}

void mega_batch_view_rows(struct mega_batch *b, const struct mega_host_batch *h)
{
    *b = (struct mega_batch){ .n = h->B, .places = h->B * h->T, .index = h->index };
    b->rows[0] = (struct mega_rows){ .B = h->B, .T = h->T, .len = h->len };
    b->text[0] = mega_tensor_over(h->id, MEGA_I32, 2, (int64_t[]){ h->B, h->T });
    b->target = mega_tensor_over(h->label, MEGA_I32, 1, &h->B);
    b->begins = true;
    for (int64_t i = 0; i < h->B; i++) b->tokens += h->len[i];
}

static void view_text(struct mega_batch *b, const struct mega_text_batch *h)
{
    int64_t targets = h->B * h->T;
    *b = (struct mega_batch){ .n = h->B,
        .places = targets,
        .tokens = h->units.targets,
        .bytes = h->units.bytes,
        .begins = h->begins,
        .goes_on = !h->ends };
    b->rows[0] = (struct mega_rows){
        .B = h->B, .T = h->T, .len = h->len, .doc = h->doc, .number = h->number
    };
    b->text[0] = mega_tensor_over(h->id, MEGA_I32, 2, (int64_t[]){ h->B, h->T });
    b->target = mega_tensor_over(h->target, MEGA_I32, 1, &targets);
}

void mega_batch_view(struct mega_batch *b, const struct mega_host *h)
{
    if (h->is_text)
        view_text(b, &h->text);
    else
        mega_batch_view_rows(b, &h->rows);
}

void mega_batch_dry(
    struct mega_batch *b, enum mega_architecture a, int64_t B, int64_t T, const int32_t *len)
{
    int64_t targets = a == MEGA_CLASSIFIER ? B : B * T;
    *b = (struct mega_batch){ .n = B };
    for (int k = 0; k < 2; k++) {
        b->rows[k] = (struct mega_rows){ .B = B, .T = T, .len = len };
        b->text[k] = mega_tensor_over(NULL, MEGA_I32, 2, (int64_t[]){ B, T });
    }
    b->target = mega_tensor_over(NULL, MEGA_I32, 1, &targets);
}

void mega_batch_enter(mega_run *r, const mega_model *m, const struct mega_batch *b,
    mega_tensor *text[2], const struct mega_rows *rows[2])
{
    text[0] = mega_run_input(r, &b->text[0]);
    rows[0] = mega_run_rows(r, &b->rows[0]);
    bool pair = mega_model_towers(m) == 2;
    text[1] = pair ? mega_run_input(r, &b->text[1]) : NULL;
    rows[1] = pair ? &b->rows[1] : NULL;
}

mega_tensor *mega_batch_loss(mega_run *r, const mega_model *m, const struct mega_batch *b)
{
    mega_tensor *text[2];
    const struct mega_rows *rows[2];
    mega_batch_enter(r, m, b, text, rows);
    mega_tensor *target = mega_run_input(r, &b->target);
    if (m->config.architecture == MEGA_CLASSIFIER)
        return cross_entropy(r, mega_classifier_run(r, &m->classifier, text, rows), target);
    double smoothing = mega_run_mode(r) & MEGA_RUN_TRAIN ? b->smoothing : 0;
    if (m->config.architecture == MEGA_MASKED_MODEL)
        return mega_masked_model_loss(r, &m->masked,
            mega_masked_model_states(r, &m->masked, text[0], rows[0]), target, smoothing, NULL);
    mega_tensor *x = mega_language_model_features(r, &m->language, text[0], rows[0]);
    return mega_language_model_loss(r, &m->language, x, target, rows[0], smoothing, NULL);
}
