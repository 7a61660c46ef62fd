/* Hugging Face's tokenizer.json: a BPE or WordPiece model with its normalizer, pre-tokenizer,
 * added tokens, post-processor and decoder. What is in it and not known here is refused by
 * name. */
#include <stdlib.h>

#include "text/bpe_model.h"
#include "text/tokenizer_json.h"
#include "text/wordpiece.h"

/* ---- the model ---- */

static const struct mega_node *child(
    const struct mega_node *node, const char *key, enum mega_node_kind kind)
{
    const struct mega_node *found = mega_node_find(node, key);
    return found && found->kind == kind ? found : NULL;
}

static bool flag(const struct mega_node *node, const char *key)
{
    const struct mega_node *found = child(node, key, MEGA_NODE_BOOL);
    return found && found->boolean;
}

static struct mega_span text_of(const struct mega_node *node, const char *key)
{
    const struct mega_node *found = child(node, key, MEGA_NODE_TEXT);
    return found ? (struct mega_span){ found->text, found->size } : (struct mega_span){ "", 0 };
}

/* "a b", or ["a", "b"]; the first half of the text is copied, to end with a NUL */
static mega_status read_merge(
    mega_tokenizer *t, struct mega_bpe_model *m, const struct mega_node *node, int32_t rank)
{
    const char *name = m->document.name;
    struct mega_span left = { 0 }, right = { 0 };
    if (node->kind == MEGA_NODE_TEXT) {
        const char *blank = memchr(node->text, ' ', node->size);
        size_t size = blank ? (size_t)(blank - node->text) : 0;
        char *copy = mega_arena_get(&t->arena, size + 1);
        if (!copy) return mega_fail(MEGA_NO_MEMORY, "no memory for %s", name);
        memcpy(copy, node->text, size);
        copy[size] = 0;
        left = (struct mega_span){ copy, size };
        if (blank) right = (struct mega_span){ blank + 1, node->size - size - 1 };
        if (right.size && memchr(right.data, ' ', right.size)) right.size = 0;
    } else if (node->kind == MEGA_NODE_LIST) {
        const struct mega_node *a = node->first, *b = a ? a->next : NULL;
        if (b && !b->next && a->kind == MEGA_NODE_TEXT && b->kind == MEGA_NODE_TEXT) {
            left = (struct mega_span){ a->text, a->size };
            right = (struct mega_span){ b->text, b->size };
        }
    }
    if (!left.size || !right.size)
        return mega_fail(MEGA_BAD_FILE,
            "%s:%d:%d: expected a merge of two pieces, \"a b\" or [\"a\", \"b\"], found "
            "'%.80s'",
            name, node->line, node->column,
            node->kind == MEGA_NODE_TEXT ? node->text : "something else");
    return mega_bpe_model_merge(t, m, rank, left, right, name, node->line);
}

static bool is_wordpiece(const struct mega_node *model)
{
    return !strcmp(text_of(model, "type").data, "WordPiece");
}

/* what a file does not say is as its own program has it */
static mega_status read_wordpiece(mega_tokenizer *t, struct mega_bpe_model *m,
    const struct mega_document *d, const struct mega_node *model)
{
    const struct mega_node *vocab = child(model, "vocab", MEGA_NODE_MAP),
                           *longest = child(model, "max_input_chars_per_word", MEGA_NODE_INT);
    struct mega_span unk = text_of(model, "unk_token"),
                     prefix = text_of(model, "continuing_subword_prefix");
    if (!vocab)
        return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: expected an object \"vocab\" in the model",
            d->name, model->line, model->column);
    MEGA_TRY(mega_vocab_read(&t->vocab, d, vocab));
    m->prefix = prefix.size || mega_node_find(model, "continuing_subword_prefix")
                    ? prefix
                    : (struct mega_span){ "##", 2 };
    m->longest_word = longest && longest->integer > 0 ? longest->integer : 100;
    return mega_wordpiece_finish(
        t, m, unk.size ? unk : (struct mega_span){ "[UNK]", 5 }, d->name);
}

static mega_status check_type(const struct mega_document *d, const struct mega_node *model)
{
    const struct mega_node *type = mega_node_find(model, "type");
    const char *found = type && type->kind == MEGA_NODE_TEXT ? type->text : "BPE";
    const struct mega_node *dropout = mega_node_find(model, "dropout");
    if (strcmp(found, "BPE") != 0)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s:%d:%d: the model '%.80s' is not supported, expected BPE or WordPiece%s",
            d->name, type->line, type->column, found,
            !strcmp(found, "Unigram") ? " (give the SentencePiece .model file instead)" : "");
    if (dropout && dropout->kind >= MEGA_NODE_INT && dropout->real > 0)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s:%d:%d: a model with dropout encodes at random, which is not supported", d->name,
            dropout->line, dropout->column);
    return MEGA_OK;
}

static mega_status read_model(mega_tokenizer *t, struct mega_bpe_model *m)
{
    const struct mega_document *d = &m->document;
    const struct mega_node *model = child(d->root, "model", MEGA_NODE_MAP);
    if (!model) return mega_fail(MEGA_BAD_FILE, "%s: expected an object \"model\"", d->name);
    if (is_wordpiece(model)) return read_wordpiece(t, m, d, model);
    MEGA_TRY(check_type(d, model));
    const struct mega_node *vocab = child(model, "vocab", MEGA_NODE_MAP);
    const struct mega_node *merges = child(model, "merges", MEGA_NODE_LIST);
    if (!vocab || !merges)
        return mega_fail(MEGA_BAD_FILE,
            "%s:%d:%d: expected an object \"vocab\" and a list \"merges\" in the model",
            d->name, model->line, model->column);
    MEGA_TRY(mega_vocab_read(&t->vocab, d, vocab));
    m->prefix = text_of(model, "continuing_subword_prefix");
    m->suffix = text_of(model, "end_of_word_suffix");
    m->fuse_unk = flag(model, "fuse_unk");
    m->byte_fallback = flag(model, "byte_fallback");
    m->whole_first = flag(model, "ignore_merges");
    struct mega_span unk = text_of(model, "unk_token");
    m->unk = unk.size ? mega_vocab_find(&t->vocab, unk.data, unk.size) : -1;
    t->special[MEGA_UNK] = m->unk;
    int32_t rank = 0;
    for (const struct mega_node *n = merges->first; n; n = n->next)
        MEGA_TRY(read_merge(t, m, n, rank++));
    return MEGA_OK;
}

/* ---- added tokens ---- */

static mega_status read_added(
    mega_tokenizer *t, const struct mega_document *d, const struct mega_node *node)
{
    const struct mega_node *id = child(node, "id", MEGA_NODE_INT);
    struct mega_span text = text_of(node, "content");
    if (!id || !text.size || id->integer < 0 || id->integer > MEGA_VOCAB_MOST)
        return mega_fail(MEGA_BAD_FILE,
            "%s:%d:%d: expected an added token with an \"id\" and a \"content\"", d->name,
            node->line, node->column);
    int32_t number = (int32_t)id->integer;
    int32_t have = mega_vocab_find(&t->vocab, text.data, text.size);
    struct mega_piece *other =
        mega_vocab_has(&t->vocab, number) ? &t->vocab.piece[number] : NULL;
    if ((have >= 0 && have != number) || (other && have < 0))
        return mega_fail(MEGA_BAD_FILE,
            "%s:%d:%d: the added token '%.80s' has the id %d, but in the vocabulary %s",
            d->name, id->line, id->column, text.data, number,
            have >= 0 ? "it has another" : "that is another piece");
    int flags = flag(node, "special") ? MEGA_PIECE_SPECIAL : 0;
    if (other)
        other->flags |= flags;
    else
        MEGA_TRY(mega_vocab_set(&t->vocab, number, text.data, text.size, flags));
    struct mega_added added = { .text = t->vocab.piece[number].text,
        .id = number,
        .special = flags,
        .single_word = flag(node, "single_word"),
        .lstrip = flag(node, "lstrip"),
        .rstrip = flag(node, "rstrip"),
        .normalized = flag(node, "normalized") };
    t->vocab.piece[number].flags |= MEGA_PIECE_ADDED;
    return mega_specials_add(&t->specials, &added);
}

/* tokens that are looked for in normalised text are looked for in their own normal form */
static mega_status normalize_added(mega_tokenizer *t, struct mega_bpe_model *m)
{
    struct mega_matcher *matcher = NULL;
    struct mega_text form = { 0 }, spare = { 0 };
    struct mega_specials was = t->specials;
    t->specials = (struct mega_specials){ 0 };
    mega_status status = mega_matcher_new(&matcher);
    for (int32_t i = 0; i < was.n && !status; i++) {
        struct mega_added a = was.added[i];
        if (a.normalized) {
            status = mega_normalizer_run(
                &m->normalizer, matcher, a.text.data, a.text.size, false, &form, &spare);
            char *copy = status ? NULL : mega_arena_get(&t->arena, form.size + 1);
            if (!status && !copy) status = mega_fail(MEGA_NO_MEMORY, "no memory for tokens");
            if (copy) memcpy(copy, form.data, form.size + 1);
            a.text = (struct mega_span){ copy, form.size };
        }
        if (!status) status = mega_specials_add(&t->specials, &a);
    }
    mega_matcher_free(matcher);
    mega_text_done(&form);
    mega_text_done(&spare);
    mega_specials_done(&was);
    return status;
}

static mega_status read_all_added(mega_tokenizer *t, struct mega_bpe_model *m)
{
    const struct mega_node *list = child(m->document.root, "added_tokens", MEGA_NODE_LIST);
    for (const struct mega_node *n = list ? list->first : NULL; n; n = n->next)
        MEGA_TRY(read_added(t, &m->document, n));
    return m->normalizer.n ? normalize_added(t, m) : MEGA_OK;
}

/* ---- the post-processor: what options.frame puts around a text ---- */

static mega_status add_framing(mega_tokenizer *t, const struct mega_document *d,
    const struct mega_node *node, struct mega_ids *to, int64_t id)
{
    int32_t number = (int32_t)id;
    if (id < 0 || id >= t->vocab.n || !mega_vocab_has(&t->vocab, number))
        return mega_fail(MEGA_BAD_FILE,
            "%s:%d:%d: the post-processor needs the id %lld, which is not in the vocabulary",
            d->name, node->line, node->column, (long long)id);
    return mega_ids_add(to, &number, 1) ? MEGA_OK
                                        : mega_fail(MEGA_NO_MEMORY, "no memory for tokens");
}

static mega_status add_template_token(mega_tokenizer *t, const struct mega_document *d,
    const struct mega_node *processor, const struct mega_node *token, struct mega_ids *to)
{
    struct mega_span name = text_of(token, "id");
    const struct mega_node *table = child(processor, "special_tokens", MEGA_NODE_MAP);
    const struct mega_node *entry = table ? table->first : NULL;
    while (entry && strcmp(entry->key, name.data) != 0) entry = entry->next;
    const struct mega_node *ids = entry ? child(entry, "ids", MEGA_NODE_LIST) : NULL;
    if (!ids)
        return mega_fail(MEGA_BAD_FILE,
            "%s:%d:%d: the template's token '%.80s' is not in its \"special_tokens\"", d->name,
            token->line, token->column, name.data);
    for (const struct mega_node *id = ids->first; id; id = id->next)
        MEGA_TRY(add_framing(t, d, id, to, id->kind == MEGA_NODE_INT ? id->integer : -1));
    return MEGA_OK;
}

static mega_status read_template(
    mega_tokenizer *t, const struct mega_document *d, const struct mega_node *node)
{
    const struct mega_node *single = child(node, "single", MEGA_NODE_LIST);
    bool inside = true;
    for (const struct mega_node *n = single ? single->first : NULL; n; n = n->next) {
        const struct mega_node *token = child(n, "SpecialToken", MEGA_NODE_MAP);
        if (token)
            MEGA_TRY(add_template_token(t, d, node, token, inside ? &t->before : &t->after));
        else
            inside = false;
    }
    return MEGA_OK;
}

/* BERT's and RoBERTa's: "cls": ["<s>", 0], "sep": ["</s>", 2] */
static mega_status read_pair(
    mega_tokenizer *t, const struct mega_document *d, const struct mega_node *node)
{
    for (int i = 0; i < 2; i++) {
        const struct mega_node *pair = child(node, i ? "sep" : "cls", MEGA_NODE_LIST);
        const struct mega_node *id = pair && pair->first ? pair->first->next : NULL;
        MEGA_TRY(add_framing(t, d, node, i ? &t->after : &t->before,
            id && id->kind == MEGA_NODE_INT ? id->integer : -1));
    }
    return MEGA_OK;
}

static mega_status read_processor(
    mega_tokenizer *t, const struct mega_document *d, const struct mega_node *node)
{
    if (!node || node->kind == MEGA_NODE_NULL) return MEGA_OK;
    struct mega_span type = text_of(node, "type");
    if (!strcmp(type.data, "ByteLevel")) return MEGA_OK; /* offsets alone */
    if (!strcmp(type.data, "TemplateProcessing")) return read_template(t, d, node);
    if (!strcmp(type.data, "RobertaProcessing") || !strcmp(type.data, "BertProcessing"))
        return read_pair(t, d, node);
    if (strcmp(type.data, "Sequence") != 0)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s:%d:%d: the post-processor '%.80s' is not supported", d->name, node->line,
            node->column, type.data);
    const struct mega_node *list = child(node, "processors", MEGA_NODE_LIST);
    for (const struct mega_node *n = list ? list->first : NULL; n; n = n->next)
        MEGA_TRY(read_processor(t, d, n));
    return MEGA_OK;
}

/* ---- special ids ---- */

/* a token of tokenizer_config.json: "<s>", or an object with its "content" */
static int32_t configured(
    const mega_tokenizer *t, const struct mega_node *config, const char *key)
{
    const struct mega_node *node = config ? mega_node_find(config, key) : NULL;
    if (node && node->kind == MEGA_NODE_MAP) node = mega_node_find(node, "content");
    if (!node || node->kind != MEGA_NODE_TEXT) return -1;
    return mega_vocab_find(&t->vocab, node->text, node->size);
}

static void find_special_ids(mega_tokenizer *t, const struct mega_node *config)
{
    static const struct {
        const char *key, *names;
    } known[] = {
        [MEGA_BOS] = { "bos_token",
            "<s> <|begin_of_text|> <|startoftext|> <bos> [BOS] <|endoftext|>" },
        [MEGA_EOS] = { "eos_token",
            "</s> <|end_of_text|> <|endoftext|> <eos> [EOS] <|end|> <|im_end|>" },
        [MEGA_PAD] = { "pad_token", "<pad> [PAD] <|padding|> <|pad|>" },
        [MEGA_UNK] = { "unk_token", "<unk> [UNK]" },
    };
    for (int i = 0; i < 4; i++) {
        int32_t id = configured(t, config, known[i].key);
        /* a file that says what its tokens are is believed where it names none */
        if (id < 0 && !config) id = mega_vocab_any(&t->vocab, known[i].names);
        if (id >= 0) t->special[i] = id;
    }
}

/* tokenizer_config.json beside a tokenizer.json says which tokens begin and end a text */
static mega_status read_config(mega_tokenizer *t, const char *path)
{
    static const char name[] = "tokenizer_config.json";
    const char *slash = strrchr(path, '/');
    const struct mega_text *config = NULL;
    struct mega_document d = { 0 };
    if (!strncmp(slash ? slash + 1 : path, "tokenizer.json", 14))
        MEGA_TRY(mega_tokenizer_sibling(t, path, name, &config));
    if (config) MEGA_TRY(mega_json_parse(&d, name, config->data, config->size));
    find_special_ids(t, config ? d.root : NULL);
    mega_document_done(&d);
    return MEGA_OK;
}

/* ---- the kind ---- */

static mega_status read_document(mega_tokenizer *t, struct mega_bpe_model *m)
{
    const struct mega_document *d = &m->document;
    MEGA_TRY(read_model(t, m));
    MEGA_TRY(mega_normalizer_read(&m->normalizer, d, mega_node_find(d->root, "normalizer")));
    MEGA_TRY(mega_splitter_read(&m->splitter, d, mega_node_find(d->root, "pre_tokenizer")));
    MEGA_TRY(read_all_added(t, m));
    MEGA_TRY(read_processor(t, d, mega_node_find(d->root, "post_processor")));
    MEGA_TRY(mega_decoder_read(
        t, d, mega_node_find(d->root, "decoder"), m->splitter.byte_level, m->splitter.drops));
    return mega_bpe_model_finish(t, m);
}

static mega_status read(mega_tokenizer *t, const char *path)
{
    struct mega_bpe_model *m = calloc(1, sizeof *m);
    if (!m) return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
    t->model = m;
    m->unk = -1;
    MEGA_TRY(
        mega_json_parse(&m->document, path, t->source[0].bytes.data, t->source[0].bytes.size));
    MEGA_TRY(read_document(t, m));
    t->name = m->longest_word ? "WordPiece" : m->splitter.byte_level ? "byte-level BPE" : "BPE";
    return read_config(t, path);
}

/* an object with a "model" that is an object: the vocabulary of GPT-2 also has a piece "model"
 */
static bool is(const char *path, const char *bytes, size_t n)
{
    (void)path;
    static const char key[] = "\"model\"";
    for (const char *p = bytes, *end = bytes + n;
         p && (p = memmem(p, (size_t)(end - p), key, sizeof key - 1)); p++) {
        const char *after = p + sizeof key - 1;
        while (after < end && (*after == ' ' || *after == ':' || *after == '\n')) after++;
        if (after < end && *after == '{') return true;
    }
    return false;
}

const struct mega_tokenizer_kind mega_tokenizer_kind_tokenizer_json = {
    .name = "BPE",
    .files = "tokenizer.json",
    .about = "Hugging Face's tokenizer.json",
    .is = is,
    .read = read,
    .encode = mega_bpe_model_encode,
    .done = mega_bpe_model_free,
    .forget = mega_bpe_model_forget,
};
