#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "text/expression.h"

struct mega_pattern {
    pcre2_code *code; /* NULL: a literal */
    bool jit;
    struct mega_span literal;
};

struct mega_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory for a pattern");
}

/* ^ and $ stand at every line, the only newline is LF: as the patterns' own engine has it */
static pcre2_code *compile(const struct mega_text *text, int *error)
{
    PCRE2_SIZE offset = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) return NULL;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text->data, text->size,
        PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, error, &offset,
        context);
    pcre2_compile_context_free(context);
    return code;
}

static mega_status compile_translated(struct mega_pattern *p, const char *where,
    const char *expression, const struct mega_text *text)
{
    int error = 0;
    p->code = text->failed ? NULL : compile(text, &error);
    if (!p->code && !error) return no_memory();
    if (!p->code) {
        char reason[160] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, sizeof reason);
        return mega_fail(MEGA_UNSUPPORTED, "%s: the pattern '%.300s' is not understood: %s",
            where, expression, reason);
    }
    /* where machine code cannot be made, the pattern is interpreted */
    p->jit = pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) == 0;
    return MEGA_OK;
}

mega_status mega_pattern_compile(
    struct mega_pattern **out, const char *where, const char *expression, size_t size)
{
    if (!size) return mega_fail(MEGA_BAD_FILE, "%s: an empty pattern", where);
    struct mega_pattern *p = calloc(1, sizeof *p);
    struct mega_text text = { 0 };
    mega_status status =
        p ? mega_expression_translate(where, expression, size, &text) : no_memory();
    if (!status) status = compile_translated(p, where, expression, &text);
    mega_text_done(&text);
    if (status)
        free(p);
    else
        *out = p;
    return status;
}

mega_status mega_pattern_literal(
    struct mega_pattern **out, const char *where, const char *text, size_t size)
{
    if (!size) return mega_fail(MEGA_BAD_FILE, "%s: an empty pattern", where);
    struct mega_pattern *p = calloc(1, sizeof *p);
    char *copy = malloc(size);
    if (!p || !copy) {
        free(p);
        free(copy);
        return no_memory();
    }
    memcpy(copy, text, size);
    p->literal = (struct mega_span){ copy, size };
    *out = p;
    return MEGA_OK;
}

mega_status mega_pattern_read(
    struct mega_pattern **out, const struct mega_document *d, const struct mega_node *node)
{
    const struct mega_node *pattern = mega_node_find(node, "pattern");
    const struct mega_node *literal = pattern ? mega_node_find(pattern, "String") : NULL;
    const struct mega_node *regex = pattern ? mega_node_find(pattern, "Regex") : NULL;
    const struct mega_node *which = literal ? literal : regex;
    if (!which || which->kind != MEGA_NODE_TEXT)
        return mega_fail(MEGA_BAD_FILE,
            "%s:%d:%d: expected a \"pattern\" with a \"String\" or a \"Regex\"", d->name,
            node->line, node->column);
    char where[300];
    snprintf(where, sizeof where, "%.200s:%d:%d", d->name, which->line, which->column);
    return literal ? mega_pattern_literal(out, where, which->text, which->size)
                   : mega_pattern_compile(out, where, which->text, which->size);
}

void mega_pattern_free(struct mega_pattern *p)
{
    if (!p) return;
    pcre2_code_free(p->code);
    free((char *)(uintptr_t)p->literal.data);
    free(p);
}

mega_status mega_matcher_new(struct mega_matcher **out)
{
    enum { STACK_LEAST = 32 << 10, STACK_MOST = 8 << 20, OFFSETS = 1 };
    struct mega_matcher *m = calloc(1, sizeof *m);
    if (!m) return no_memory();
    m->data = pcre2_match_data_create(OFFSETS, NULL);
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, NULL);
    if (!m->data || !m->context) {
        mega_matcher_free(m);
        return no_memory();
    }
    if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
    *out = m;
    return MEGA_OK;
}

void mega_matcher_free(struct mega_matcher *m)
{
    if (!m) return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    free(m);
}

static void find_literal(const struct mega_span *what, const char *text, size_t n, size_t from,
    size_t *start, size_t *stop)
{
    const char *at = from <= n ? memmem(text + from, n - from, what->data, what->size) : NULL;
    *start = at ? (size_t)(at - text) : n + 1;
    *stop = *start + what->size;
}

mega_status mega_pattern_find(const struct mega_pattern *p, struct mega_matcher *m,
    const char *text, size_t n, size_t from, size_t *start, size_t *stop)
{
    if (!p->code) {
        find_literal(&p->literal, text, n, from, start, stop);
        return MEGA_OK;
    }
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int found = p->jit
                    ? pcre2_jit_match(p->code, subject, n, from, 0, m->data, m->context)
                    : pcre2_match(p->code, subject, n, from, PCRE2_NO_UTF_CHECK, m->data, NULL);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(
            p->code, subject, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->context);
    if (found == PCRE2_ERROR_NOMATCH) {
        *start = n + 1;
        return MEGA_OK;
    }
    if (found < 0) {
        char reason[160] = "";
        pcre2_get_error_message(found, (PCRE2_UCHAR *)reason, sizeof reason);
        return mega_fail(MEGA_UNSUPPORTED,
            "the tokenizer's split pattern gives up at byte %zu: %s", from + 1, reason);
    }
    const PCRE2_SIZE *pair = pcre2_get_ovector_pointer(m->data);
    *start = pair[0];
    *stop = pair[1];
    /* \K can turn a match around */
    if (*stop < *start || *start < from) *start = *stop = from;
    return MEGA_OK;
}
