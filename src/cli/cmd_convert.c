/* mega convert: models and tensors from and to the files of other programs. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "format/tensors.h"
#include "megac/tokenizer.h"
#include "model/export.h"
#include "model/foreign.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"

enum form { MEGAC, HF, LLAMA2C, SAFETENSORS };

struct options {
    int to, dtype;
    const char *tokenizer, *config, *ignore, *shard_size;
    bool verbose;
};

#define FIELD(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "to", MEGA_OPTION_CHOICE, FIELD(to), "megac", 0, 0, "megac|hf|llama2c|safetensors", NULL,
        "what TO is: a model folder of this program, a folder of Hugging Face, a file "
        "of "
        "llama2.c, or the tensors as they are in one file",
        0 },
    { "dtype", MEGA_OPTION_CHOICE, FIELD(dtype), "float32", 0, 0, "float32|bfloat16|float16",
        NULL, "type of the weights in a folder of Hugging Face, rounded to nearest", 0 },
    { "max-shard-size", MEGA_OPTION_TEXT, FIELD(shard_size), "", 0, 0, NULL, "SIZE",
        "of a folder of Hugging Face: weights of more than this go into several files and an "
        "index (5GB, 200MB, 64MiB, bytes); by default one file",
        0 },
    { "tokenizer", MEGA_OPTION_TEXT, FIELD(tokenizer), "", 0, 0, NULL, "FILE",
        "a tokenizer, or a folder with one, that goes into the folder TO; FROM's own is found "
        "by "
        "itself",
        0 },
    { "config", MEGA_OPTION_TEXT, FIELD(config), "", 0, 0, NULL, "FILE",
        "a config.json of this program that says what the tensors of FROM are", 0 },
    { "ignore", MEGA_OPTION_TEXT, FIELD(ignore), "", 0, 0, NULL, "KEYS",
        "keys of FROM's config.json, separated by commas, to pass over", 0 },
    { "verbose", MEGA_OPTION_BOOL, FIELD(verbose), "false", 0, 0, NULL, NULL,
        "also say which keys play no part", 'v' },
    { 0 },
};

/* ---- where from ---- */

struct source {
    struct mega_foreign foreign; /* holds the model in either case */
    mega_tokenizer *tokenizer;   /* or NULL */
    mega_dtype type;             /* that weights go out with */
    int64_t shard_size;          /* in files of so many bytes; 0: in one */
};

static void close_source(struct source *s)
{
    mega_tokenizer_close(s->tokenizer);
    mega_foreign_done(&s->foreign);
}

/* a folder of ours, or a run: its config.json says so */
static bool is_ours(const char *from, char folder[1280])
{
    char path[1400];
    struct mega_document d;
    if (!mega_path_is_folder(from) || mega_run_folder_model(from, folder)) return false;
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (mega_json_load(&d, path)) return false;
    bool ours = mega_node_find(d.root, "megac") != NULL;
    mega_document_done(&d);
    return ours;
}

static mega_status load_ours(struct source *s, const char *folder)
{
    char path[1400];
    snprintf(path, sizeof path, "%s/config.json", folder);
    s->foreign.kind = "model of this program";
    s->foreign.bos = s->foreign.eos = s->foreign.pad = -1;
    MEGA_TRY(mega_file_read(path, &s->foreign.config));
    return mega_model_load(&s->foreign.model, folder);
}

/* the one asked for; else the folder's own, where it has one that can be read */
static mega_status find_tokenizer(struct source *s, const char *from, const struct options *o)
{
    if (*o->tokenizer) return mega_tokenizer_open(&s->tokenizer, o->tokenizer);
    if (!mega_path_is_folder(from)) return MEGA_OK;
    mega_status status = mega_tokenizer_open(&s->tokenizer, from);
    s->tokenizer = status ? NULL : s->tokenizer;
    if (status && status != MEGA_BAD_ARGUMENT)
        fprintf(stderr, "mega: the tokenizer is not taken along: %s\n", mega_message());
    return MEGA_OK;
}

static mega_status check_tokenizer(const struct source *s)
{
    const struct mega_model_config *c = &s->foreign.model->config;
    if (!s->tokenizer || c->architecture == MEGA_CLASSIFIER) return MEGA_OK;
    int32_t ids = mega_tokenizer_size(s->tokenizer);
    int64_t V = mega_model_config_vocabulary(c).size;
    if (ids <= V) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "the tokenizer has %d ids, the model knows %lld: is it the model's own?", ids,
        (long long)V);
}

/* "5GB": decimal with B, binary with iB */
static mega_status read_size(const char *text, int64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    *bytes = 0;
    if (!*text) return MEGA_OK;
    double size = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    double base = unit && (end[1] == 'i' || end[1] == 'I') ? 1024 : 1000;
    for (const char *u = units; unit && u <= unit; u++) size *= base;
    if (unit) end += base > 1000 ? 2 : 1;
    if (*end == 'B' || *end == 'b') end++;
    if (*end || !(size >= 1 && size <= 1e18))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "--max-shard-size: '%s': expected a size such as 5GB, 200MB, 64MiB, or bytes",
            text);
    *bytes = (int64_t)size;
    return MEGA_OK;
}

static mega_status open_source(struct source *s, const char *from, const struct options *o)
{
    static const mega_dtype types[] = { MEGA_F32, MEGA_BF16, MEGA_F16 };
    char folder[1280];
    *s = (struct source){ .type = types[o->dtype] };
    MEGA_TRY(read_size(o->shard_size, &s->shard_size));
    bool ours = is_ours(from, folder);
    MEGA_TRY(ours ? load_ours(s, folder)
                  : mega_foreign_load(&s->foreign, from, o->ignore, o->config));
    if (o->verbose && s->foreign.remark.size) fputs(s->foreign.remark.data, stderr);
    MEGA_TRY(find_tokenizer(s, ours ? folder : from, o));
    return check_tokenizer(s);
}

/* ---- where to ---- */

static mega_status write_megac(const char *path, const struct source *s)
{
    return mega_model_folder_save(path, s->foreign.model, s->foreign.config.data);
}

/* the tokenizer knows its special tokens better than a header does */
static int64_t special(const struct source *s, enum mega_special which, int64_t otherwise)
{
    int32_t id = s->tokenizer ? mega_tokenizer_special(s->tokenizer, which) : -1;
    return id >= 0 ? id : otherwise;
}

static mega_status write_hf(const char *path, const struct source *s)
{
    struct mega_foreign_config c = { .bos = special(s, MEGA_BOS, s->foreign.bos),
        .eos = special(s, MEGA_EOS, s->foreign.eos),
        .pad = special(s, MEGA_PAD, s->foreign.pad) };
    MEGA_TRY(mega_export_options(s->foreign.model, &c));
    return mega_export_hf(path, &s->foreign.model->store, &c, s->type, s->shard_size);
}

/* a file, which has no place for a tokenizer */
static mega_status write_llama2c(const char *to, const struct source *s)
{
    struct mega_foreign_config c;
    MEGA_TRY(mega_export_options(s->foreign.model, &c));
    return mega_export_llama2c(to, &s->foreign.model->store, &c.options);
}

/* a folder appears under its name when it is whole */
static mega_status write_folder(const char *to, const struct source *s,
    mega_status (*write)(const char *path, const struct source *s))
{
    struct mega_text part = { 0 };
    mega_text_add(&part, "%s.part", to);
    if (part.failed) return mega_fail(MEGA_NO_MEMORY, "no memory to write %s", to);
    mega_status status = mega_folder_remove(part.data);
    if (!status) status = write(part.data, s);
    if (!status && s->tokenizer) status = mega_tokenizer_save(s->tokenizer, part.data);
    if (!status) status = mega_folder_sync(part.data);
    if (!status && rename(part.data, to)) status = mega_fail_errno("rename", part.data);
    if (status) mega_folder_remove(part.data);
    mega_text_done(&part);
    return status;
}

static mega_status convert_model(const char *from, const char *to, const struct options *o)
{
    struct source s;
    mega_status status = open_source(&s, from, o);
    if (!status)
        status = o->to == LLAMA2C ? write_llama2c(to, &s)
                                  : write_folder(to, &s, o->to == HF ? write_hf : write_megac);
    if (!status)
        printf("%s: %s, %lld parameters\n", to, s.foreign.kind,
            (long long)mega_model_parameters(s.foreign.model));
    close_source(&s);
    return status;
}

/* ---- tensors as they are ---- */

static mega_status check_type(const struct mega_tensors *t, const struct mega_named *n)
{
    return mega_st_item_size(n->is.dtype)
               ? MEGA_OK
               : mega_fail(MEGA_UNSUPPORTED,
                     "%s: tensor %.200s is of type %s, which safetensors does not have",
                     t->path, n->is.name, n->is.dtype);
}

/* those that do not lie dense are copied; `copy` [n] is the caller's to free */
static mega_status lay_dense(
    const struct mega_tensors *t, struct mega_st_tensor *tensor, void **copy)
{
    for (int i = 0; i < t->n; i++) {
        const struct mega_named *n = &t->tensor[i];
        MEGA_TRY(check_type(t, n));
        tensor[i] = n->is;
        if (mega_named_is_dense(n)) continue;
        tensor[i].data = copy[i] = malloc(n->is.size + 1);
        if (!copy[i]) return mega_fail(MEGA_NO_MEMORY, "no memory for %.200s", n->is.name);
        mega_named_copy(n, copy[i]);
    }
    return MEGA_OK;
}

static mega_status write_tensors(const struct mega_tensors *t, const char *to)
{
    static const struct mega_st_entry meta[] = { { "format", "pt" } };
    struct mega_st_tensor *tensor = calloc((size_t)t->n + 1, sizeof *tensor);
    void **copy = calloc((size_t)t->n + 1, sizeof *copy);
    mega_status status = tensor && copy
                             ? lay_dense(t, tensor, copy)
                             : mega_fail(MEGA_NO_MEMORY, "no memory to write %s", to);
    if (!status) status = mega_safetensors_write(to, tensor, t->n, meta, 1);
    for (int i = 0; copy && i < t->n; i++) free(copy[i]);
    free(copy);
    free(tensor);
    return status;
}

static mega_status convert_tensors(const char *from, const char *to)
{
    struct mega_tensors t;
    MEGA_TRY(mega_tensors_open(&t, from));
    mega_status status = write_tensors(&t, to);
    if (t.remark.size) fputs(t.remark.data, stderr);
    if (!status) printf("%s: %d tensors\n", to, t.n);
    mega_tensors_close(&t);
    return status;
}

/* ---- the command ---- */

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    const char *from = line->word[0], *to = line->word[1];
    mega_status status;
    if (mega_path_exists(to))
        status = mega_fail(MEGA_BAD_ARGUMENT, "%s is there already: choose another name", to);
    else if (o->dtype && o->to != HF)
        status = mega_fail(MEGA_BAD_ARGUMENT, "--dtype is of --to hf alone");
    else if (*o->shard_size && o->to != HF)
        status = mega_fail(MEGA_BAD_ARGUMENT, "--max-shard-size is of --to hf alone");
    else
        status = o->to == SAFETENSORS ? convert_tensors(from, to) : convert_model(from, to, o);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_convert = {
    .name = "convert",
    .summary = "Read and write models in the files of other programs",
    .words = "FROM TO",
    .least = 2,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "FROM is found out by its content: a folder of Hugging Face with config.json (Llama, "
        "GPT-2; safetensors or PyTorch files, in shards or not), a model file of llama2.c or "
        "a folder with one, a checkpoint of Mega's authors, a model folder or run of this "
        "program. Files of PyTorch "
        "are read as data; nothing in them is run.\n\n"
        "Every key of a foreign configuration that changes what the model computes is taken "
        "or refused by its name.\n\n"
        "TO must not exist; it appears when it is whole. docs/checkpoints.md lists what comes "
        "in and goes out, key by key.",
    .run = run,
};
