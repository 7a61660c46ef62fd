#include "train/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "format/safetensors.h"

enum { ROWS = 4, LONGEST = 256 };

static struct mega_inputs inputs_of(const mega_model *m)
{
    struct mega_vocabulary v = mega_model_config_vocabulary(&m->config);
    if (m->config.architecture == MEGA_CLASSIFIER) return m->config.task.inputs;
    return (struct mega_inputs){ .vocabulary = v.size, .pad = v.pad < 0 ? 0 : v.pad };
}

/* places that a text may have; where any number goes, as many as a file may ask for */
static int64_t most_of(const mega_model *m)
{
    int64_t longest = mega_model_config_longest(&m->config);
    return longest ? longest : 1 << 20;
}

static int64_t longest_of(const mega_model *m)
{
    return most_of(m) < LONGEST ? most_of(m) : LONGEST;
}

/* numbers that the model answers to a text of T places */
static int64_t answers_of(const mega_model *m, int64_t T)
{
    return m->config.architecture == MEGA_CLASSIFIER ? m->config.task.classes : T;
}

/* the texts of both towers, and what the model says to them */
struct reference {
    int64_t rows, T;
    int64_t answers; /* numbers a row: logits of its classes, or a language model's -log p of
                        the T tokens, each after those before it (a masked one's: among all) */
    int32_t *id[2], *len[2]; /* numbers, too, are stored as their ids */
    float *logits;
};

static void done(struct reference *f)
{
    for (int k = 0; k < 2; k++) {
        free(f->id[k]);
        free(f->len[k]);
    }
    free(f->logits);
    *f = (struct reference){ 0 };
}

static mega_status make_room(struct reference *f)
{
    bool made = true;
    for (int k = 0; k < 2; k++) {
        f->id[k] = calloc((size_t)(f->rows * f->T) + 1, sizeof **f->id);
        f->len[k] = calloc((size_t)f->rows + 1, sizeof **f->len);
        made = made && f->id[k] && f->len[k];
    }
    f->logits = calloc((size_t)(f->rows * f->answers) + 1, sizeof *f->logits);
    return made && f->logits ? MEGA_OK
                             : mega_fail(MEGA_NO_MEMORY, "no memory for reference outputs");
}

/* rows of different lengths, so that padding matters; a pair's second texts are drawn alike */
static void draw(struct reference *f, const struct mega_inputs *in)
{
    for (int k = 0; k < 2; k++) {
        struct mega_rng g;
        mega_rng_start(&g, (uint64_t)k, mega_hash_text("reference"));
        for (int64_t i = 0; i < f->rows; i++) {
            f->len[k][i] = (int32_t)(f->T - i * (f->T - 1) / f->rows);
            for (int64_t t = 0; t < f->T; t++) {
                int32_t id =
                    (int32_t)mega_rng_below(&g, in->numbers ? 256 : (uint32_t)in->vocabulary);
                f->id[k][i * f->T + t] =
                    t < f->len[k][i] || in->numbers ? id : (int32_t)in->pad;
            }
        }
    }
}

/* numbers stand for pixels: 0 ... 255 as -1 ... 1 */
static mega_tensor *text_of(mega_run *r, const struct reference *f, int k, bool numbers)
{
    int64_t dim[] = { f->rows, f->T };
    mega_tensor ids = mega_tensor_over(f->id[k], MEGA_I32, 2, dim);
    if (!numbers) return mega_run_input(r, &ids);
    mega_tensor *t = mega_run_tensor(r, MEGA_F32, 2, dim);
    for (int64_t i = 0; t && i < f->rows * f->T; i++)
        mega_put(t, i / f->T, i % f->T, f->id[k][i] / 127.5 - 1);
    return t;
}

static mega_tensor *classify(
    mega_run *r, const mega_model *m, const struct reference *f, struct mega_rows rows[2])
{
    bool numbers = m->config.task.inputs.numbers;
    mega_tensor *text[2] = { 0 };
    const struct mega_rows *row[2] = { 0 };
    for (int k = 0; k < mega_model_towers(m); k++) {
        text[k] = text_of(r, f, k, numbers);
        rows[k] =
            (struct mega_rows){ .B = f->rows, .T = f->T, .len = numbers ? NULL : f->len[k] };
        row[k] = &rows[k];
    }
    return mega_classifier_run(r, &m->classifier, text, row);
}

/* the last token of a row has none to follow it: its answer is 0 */
static mega_tensor *read_on(
    mega_run *r, const mega_model *m, const struct reference *f, struct mega_rows *rows)
{
    int64_t n = f->rows * f->T;
    *rows = (struct mega_rows){ .B = f->rows, .T = f->T, .len = f->len[0] };
    mega_tensor *text = text_of(r, f, 0, false), *each = NULL,
                *next = mega_run_tensor(r, MEGA_I32, 1, &n);
    for (int64_t i = 0; next && i < n; i++)
        ((int32_t *)next->data)[i] = i % f->T + 1 < f->len[0][i / f->T] ? f->id[0][i + 1] : -1;
    mega_tensor *x = mega_language_model_features(r, &m->language, text, rows);
    mega_language_model_loss(r, &m->language, x, next, rows, 0, &each);
    return each;
}

/* each token of a row, seen with all others */
static mega_tensor *read_all(
    mega_run *r, const mega_model *m, const struct reference *f, struct mega_rows *rows)
{
    int64_t n = f->rows * f->T;
    *rows = (struct mega_rows){ .B = f->rows, .T = f->T, .len = f->len[0] };
    mega_tensor *text = text_of(r, f, 0, false), *each = NULL,
                *same = mega_run_tensor(r, MEGA_I32, 1, &n);
    for (int64_t i = 0; same && i < n; i++)
        ((int32_t *)same->data)[i] = i % f->T < f->len[0][i / f->T] ? f->id[0][i] : -1;
    mega_masked_model_loss(
        r, &m->masked, mega_masked_model_states(r, &m->masked, text, rows), same, 0, &each);
    return each;
}

static mega_status forward(
    mega_run *r, const mega_model *m, const struct reference *f, float *logits)
{
    /* whatever the run trains in, so that any program can compare closely */
    mega_dtype dtype = mega_run_set_dtype(r, MEGA_F32);
    MEGA_TRY(mega_run_begin(r, &(struct mega_run_args){ 0 }));
    struct mega_rows rows[2];
    enum mega_architecture a = m->config.architecture;
    mega_tensor *y = a == MEGA_LANGUAGE_MODEL ? read_on(r, m, f, rows)
                     : a == MEGA_MASKED_MODEL ? read_all(r, m, f, rows)
                                              : classify(r, m, f, rows);
    if (y) mega_run_read(r, y, logits);
    mega_run_set_dtype(r, dtype);
    return mega_run_end(r);
}

/* ---- the file ---- */

static char *path_of(const char *folder, char out[1280])
{
    snprintf(out, 1280, "%.1200s/reference.safetensors", folder);
    return out;
}

static struct mega_st_tensor describe(
    const char *name, const char *dtype, int rank, int64_t d0, int64_t d1, const void *data)
{
    struct mega_st_tensor t = { .name = name, .rank = rank, .dim = { d0, d1 }, .data = data };
    strcpy(t.dtype, dtype);
    return t;
}

static mega_status save(const char *folder, const struct reference *f, int64_t towers)
{
    static const char *const ids[] = { "id", "id1" }, *const lens[] = { "len", "len1" };
    struct mega_st_tensor tensor[5];
    char path[1280];
    int n = 0;
    for (int k = 0; k < towers; k++) {
        tensor[n++] = describe(ids[k], "I32", 2, f->rows, f->T, f->id[k]);
        tensor[n++] = describe(lens[k], "I32", 1, f->rows, 0, f->len[k]);
    }
    tensor[n++] = describe("logits", "F32", 2, f->rows, f->answers, f->logits);
    return mega_safetensors_write(path_of(folder, path), tensor, n, NULL, 0);
}

/* what the model says to the texts of `f`, into the folder; ends `f` */
static mega_status answer_and_save(
    mega_run *r, const mega_model *m, const char *folder, struct reference *f)
{
    mega_status status = forward(r, m, f, f->logits);
    if (!status) status = save(folder, f, mega_model_towers(m));
    done(f);
    return status;
}

mega_status mega_reference_store(mega_run *r, const mega_model *m, const char *folder)
{
    int64_t T = longest_of(m);
    struct reference f = { .rows = ROWS, .T = T, .answers = answers_of(m, T) };
    struct mega_inputs inputs = inputs_of(m);
    mega_status status = make_room(&f);
    if (status) {
        done(&f);
        return status;
    }
    draw(&f, &inputs);
    return answer_and_save(r, m, folder, &f);
}

mega_status mega_reference_store_texts(
    mega_run *r, const mega_model *m, const char *folder, const struct mega_batch *texts)
{
    int64_t T = mega_dim(&texts->text[0], 1);
    struct reference f = { .rows = texts->n, .T = T, .answers = answers_of(m, T) };
    mega_status status = make_room(&f);
    if (status) {
        done(&f);
        return status;
    }
    for (int k = 0; k < mega_model_towers(m); k++) {
        memcpy(f.id[k], texts->text[k].data, mega_size(&texts->text[k]));
        memcpy(f.len[k], texts->rows[k].len, (size_t)f.rows * sizeof **f.len);
    }
    return answer_and_save(r, m, folder, &f);
}

/* ---- computing again ---- */

static mega_status read(const struct mega_safetensors *s, const char *path, const char *name,
    const char *dtype, int64_t count, void *to)
{
    const struct mega_st_tensor *t = mega_safetensors_find(s, name);
    if (!t || strcmp(t->dtype, dtype) != 0 || t->count != count)
        return mega_fail(MEGA_BAD_FILE, "%s: expected a tensor %s of %lld %s", path, name,
            (long long)count, dtype);
    if (t->size) memcpy(to, t->data, t->size);
    return MEGA_OK;
}

static mega_status check_ids(
    const struct reference *f, const char *path, const struct mega_inputs *in, int64_t towers)
{
    int64_t most = in->numbers ? 256 : in->vocabulary;
    for (int k = 0; k < towers; k++) {
        for (int64_t i = 0; i < f->rows * f->T; i++)
            if (f->id[k][i] < 0 || f->id[k][i] >= most)
                return mega_fail(MEGA_BAD_FILE, "%s: the id %d is not one of the model's %lld",
                    path, f->id[k][i], (long long)most);
        for (int64_t i = 0; i < f->rows; i++)
            if (f->len[k][i] < 0 || f->len[k][i] > f->T)
                return mega_fail(MEGA_BAD_FILE, "%s: a length of %d in rows of %lld", path,
                    f->len[k][i], (long long)f->T);
    }
    return MEGA_OK;
}

static mega_status load(const char *path, const mega_model *m, struct reference *f)
{
    static const char *const ids[] = { "id", "id1" }, *const lens[] = { "len", "len1" };
    struct mega_safetensors s;
    MEGA_TRY(mega_safetensors_open(&s, path));
    const struct mega_st_tensor *id = mega_safetensors_find(&s, "id");
    struct mega_inputs inputs = inputs_of(m);
    int64_t most = most_of(m);
    mega_status status = MEGA_OK;
    if (!id || id->rank != 2 || id->dim[1] < 1 || id->dim[1] > most)
        status = mega_fail(MEGA_BAD_FILE, "%s: expected a tensor id [rows, 1 to %lld places]",
            path, (long long)most);
    if (!status) {
        *f = (struct reference){
            .rows = id->dim[0], .T = id->dim[1], .answers = answers_of(m, id->dim[1])
        };
        status = make_room(f);
    }
    for (int k = 0; k < mega_model_towers(m) && !status; k++) {
        status = read(&s, path, ids[k], "I32", f->rows * f->T, f->id[k]);
        if (!status) status = read(&s, path, lens[k], "I32", f->rows, f->len[k]);
    }
    if (!status) status = read(&s, path, "logits", "F32", f->rows * f->answers, f->logits);
    mega_safetensors_close(&s);
    return status ? status : check_ids(f, path, &inputs, mega_model_towers(m));
}

static mega_status compare(
    mega_run *r, const mega_model *m, const struct reference *f, struct mega_reference *out)
{
    int64_t n = f->rows * f->answers;
    float *now = calloc((size_t)n + 1, sizeof *now);
    if (!now) return mega_fail(MEGA_NO_MEMORY, "no memory for reference outputs");
    mega_status status = forward(r, m, f, now);
    double most = 1e-6, difference = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)f->logits[i]));
        double d = fabs((double)now[i] - (double)f->logits[i]);
        if (!(d <= difference)) difference = isnan(d) ? INFINITY : d;
    }
    *out = (struct mega_reference){ f->rows, difference / most };
    free(now);
    return status;
}

mega_status mega_reference_compare(mega_run *r, const mega_model *m, const char *folder,
    const char *file, struct mega_reference *out)
{
    struct reference f = { 0 };
    char path[1280];
    if (!file && !mega_path_exists(path_of(folder, path)))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s holds no reference outputs: mega verify --store %s makes them", folder, folder);
    mega_status status = load(file ? file : path, m, &f);
    if (!status) status = compare(r, m, &f, out);
    done(&f);
    return status;
}
