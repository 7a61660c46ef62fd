#include "model/megalodon_config.h"

#include <string.h>

enum kind {
    SIZE, /* a whole number from 1 */
    REAL, /* a number from 0; null: what it is by itself */
    FLAG,
    WORD,
    OFF, /* must be false or null: it is not computed here */
    FREE /* says nothing about what the model computes */
};

/* `ours` NULL: not written. Values that are not told, as written in JSON: of the authors'
 * program and of the port; NULL: the key is not one of its. */
static const struct key {
    const char *theirs, *ours;
    enum kind kind;
    const char *official, *port;
} keys[] = { { "num_layers", "layers", SIZE, "8", "12" },
    { "model_dim", "width", SIZE, "1024", "1024" }, { "z_dim", "keys", SIZE, "256", "256" },
    { "value_dim", "values", SIZE, "2048", "2048" }, { "num_heads", "heads", SIZE, "1", "1" },
    { "ffn_hidden_dim", "ffn", SIZE, "2048", "2560" }, { "cema_ndim", "ema", SIZE, "16", "16" },
    { "chunk_size", "chunk", SIZE, "2048", "2048" },
    { "norm_num_groups", "groups", SIZE, "32", "32" },
    { "rope_base", "rotary_base", REAL, "10000", "10000" },
    { "norm_eps", "norm_eps", REAL, "1e-5", "1e-5" }, { "dropout", "dropout", REAL, "0", "0" },
    { "hidden_dropout", "hidden_dropout", REAL, "0", "0" },
    { "attention_dropout", "attention_dropout", REAL, "0", "0" },
    { "norm_affine", "norm_affine", FLAG, "true", "true" },
    { "swiglu", "swiglu", FLAG, "false", "false" },
    { "rescale_nffn", "rescale", FLAG, "false", "false" },
    { "scale_emb", "scale_embedding", FLAG, "false", "false" },
    { "share_emb", "tied", FLAG, "false", NULL },
    { "init_mode", "init", WORD, "\"he\"", "\"he\"" }, { "efficient_attn", NULL, FREE, "", "" },
    { "layerwise_ckpt", NULL, FREE, "", NULL }, { "vocab_size", NULL, FREE, "", "" },
    { "output_size", NULL, FREE, "", "" }, { "cache_unbounded", NULL, OFF, NULL, "" },
    { "max_cache_len", NULL, OFF, NULL, "" }, { "max_positions", NULL, FREE, NULL, "" },
    { "gradient_checkpointing", NULL, FREE, NULL, "" }, { "model_type", NULL, FREE, NULL, "" },
    { "architectures", NULL, FREE, NULL, "" }, { "auto_map", NULL, FREE, NULL, "" },
    { "torch_dtype", NULL, FREE, NULL, "" }, { "dtype", NULL, FREE, NULL, "" },
    { "transformers_version", NULL, FREE, NULL, "" }, { "use_cache", NULL, FREE, NULL, "" },
    { "tie_word_embeddings", NULL, FREE, NULL, "" }, { "pad_token_id", NULL, FREE, NULL, "" },
    { "bos_token_id", NULL, FREE, NULL, "" }, { "eos_token_id", NULL, FREE, NULL, "" },
    { "_name_or_path", NULL, FREE, NULL, "" } };
enum { KEYS = sizeof keys / sizeof *keys };

/* ---- what it is ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

static const struct mega_named *find(const struct mega_tensors *t, const char *end)
{
    for (int i = 0; i < t->n; i++)
        if (ends_with(t->tensor[i].is.name, end)) return &t->tensor[i];
    return NULL;
}

const struct mega_name_table *mega_megalodon_names(const struct mega_tensors *t)
{
    if (find(t, mega_names_hf_megalodon.probe)) return &mega_names_hf_megalodon;
    return find(t, mega_names_megalodon.probe) ? &mega_names_megalodon : NULL;
}

/* ---- reading ---- */

struct reader {
    const struct mega_document *document;
    const struct mega_node *map;
    bool port;
    const char *ignore;
    struct mega_text *json, *remark;
};

static const char *default_of(const struct reader *r, const struct key *k)
{
    return r->port ? k->port : k->official;
}

static mega_status refuse(
    const struct reader *r, const struct mega_node *n, const char *expected)
{
    struct mega_text value = { 0 };
    mega_json_add_node(&value, n, 0);
    mega_status status =
        mega_fail(MEGA_UNSUPPORTED, "%s:%d:%d: %.100s is %.60s, expected %s", r->document->name,
            n->line, n->column, n->key, value.failed ? "?" : value.data, expected);
    mega_text_done(&value);
    return status;
}

/* is `key` in the list "a,b"? */
static bool is_listed(const char *list, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = list; p && *p;) {
        size_t length = strcspn(p, ",");
        if (length == n && !strncmp(p, key, n)) return true;
        p += length + (p[length] == ',');
    }
    return false;
}

static mega_status check_value(
    const struct reader *r, const struct key *k, const struct mega_node *n)
{
    bool number = n->kind == MEGA_NODE_INT || n->kind == MEGA_NODE_REAL;
    switch (k->kind) {
    case SIZE:
        return n->kind == MEGA_NODE_INT && n->integer > 0
                   ? MEGA_OK
                   : refuse(r, n, "a whole number from 1");
    case REAL:
        return n->kind == MEGA_NODE_NULL || (number && n->real >= 0)
                   ? MEGA_OK
                   : refuse(r, n, "a number from 0, or null");
    case FLAG: return n->kind == MEGA_NODE_BOOL ? MEGA_OK : refuse(r, n, "true or false");
    case WORD: return n->kind == MEGA_NODE_TEXT ? MEGA_OK : refuse(r, n, "a word");
    case OFF:
        return n->kind == MEGA_NODE_NULL || (n->kind == MEGA_NODE_BOOL && !n->boolean)
                   ? MEGA_OK
                   : refuse(r, n, "false: it is not computed here");
    default: return MEGA_OK;
    }
}

static mega_status check_key(const struct reader *r, const struct mega_node *n)
{
    bool off = n->kind == MEGA_NODE_NULL || (n->kind == MEGA_NODE_BOOL && !n->boolean);
    if (is_listed(r->ignore, n->key)) {
        mega_text_add(r->remark, "%s: not heeded, as was asked for\n", n->key);
        return MEGA_OK;
    }
    for (int i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].theirs, n->key) != 0 || !default_of(r, &keys[i])) continue;
        if (keys[i].kind == FREE) mega_text_add(r->remark, "%s: plays no part\n", n->key);
        return check_value(r, &keys[i], n);
    }
    if (!off)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s:%d:%d: the key %.100s is not known here and may change what the model "
            "computes: --ignore %.100s passes over it",
            r->document->name, n->line, n->column, n->key, n->key);
    mega_text_add(r->remark, "%s: plays no part\n", n->key);
    return MEGA_OK;
}

/* ---- writing ---- */

static int64_t told(const struct reader *r, const char *key, int64_t otherwise)
{
    const struct mega_node *n = mega_node_find(r->map, key);
    return n && n->kind == MEGA_NODE_INT ? n->integer : otherwise;
}

static void add_keys(const struct reader *r)
{
    for (int i = 0; i < KEYS; i++) {
        const struct key *k = &keys[i];
        const struct mega_node *n =
            is_listed(r->ignore, k->theirs) ? NULL : mega_node_find(r->map, k->theirs);
        if (!k->ours || !default_of(r, k)) continue;
        mega_text_add(r->json, ",\n    \"%s\": ", k->ours);
        if (n && n->kind != MEGA_NODE_NULL)
            mega_json_add_node(r->json, n, 0);
        else
            mega_text_add(r->json, "%s", default_of(r, k));
    }
}

static void add_all(const struct reader *r, int64_t vocabulary)
{
    int64_t output = told(r, "output_size", -1);
    bool other = output > 0 && output != vocabulary;
    mega_text_add(r->json,
        "{\n  \"megac\": 1,\n  \"architecture\": \"language_model\",\n  \"model\": {\n"
        "    \"decoder\": \"megalodon\",\n    \"port\": %s,\n    \"output_size\": %lld",
        r->port ? "true" : "false", other ? (long long)output : 0);
    /* the port ties whenever it can */
    if (r->port) mega_text_add(r->json, ",\n    \"tied\": %s", other ? "false" : "true");
    add_keys(r);
    mega_text_add(r->json, "\n  },\n  \"inputs\": { \"vocabulary\": %lld, \"pad\": %lld }\n}\n",
        (long long)vocabulary, r->port ? (long long)told(r, "pad_token_id", 0) : -1);
}

mega_status mega_megalodon_config(const struct mega_document *d,
    const struct mega_name_table *names, const struct mega_tensors *t, const char *ignore,
    struct mega_text *json, struct mega_text *remark)
{
    bool port = names->probe == mega_names_hf_megalodon.probe;
    struct reader r = { d, port ? d->root : mega_node_find(d->root, "model"), port, ignore,
        json, remark };
    const struct mega_named *table = find(t, "embed.weight");
    if (!r.map || r.map->kind != MEGA_NODE_MAP)
        return mega_fail(
            MEGA_BAD_FILE, "%s: the key model is missing, expected a map", d->name);
    if (!table || table->is.rank != 2)
        return mega_fail(MEGA_BAD_FILE, "%s: tensor embed.weight is missing", t->path);
    for (const struct mega_node *n = r.map->first; n; n = n->next) MEGA_TRY(check_key(&r, n));
    add_all(&r, table->is.dim[0]);
    return json->failed || remark->failed
               ? mega_fail(MEGA_NO_MEMORY, "no memory to read %s", d->name)
               : MEGA_OK;
}
