#include "train/resume.h"

#include <stdio.h>
#include <string.h>

#include "format/node.h"

enum rule { OBEYED, OBEYED_RATE, REFUSED, NEVER };

/* the documented list: the longest matching beginning decides; `train.` keys that are not here
 * decide which rows meet which update, so changing one cannot be exact */
static const struct {
    const char *key;
    enum rule rule;
} rules[] = {
    { "seed", REFUSED },
    { "task.", REFUSED },
    { "task.test", OBEYED },
    { "model.", NEVER },
    { "model.recompute", OBEYED },
    { "model.dropout", OBEYED },
    { "model.hidden_dropout", OBEYED },
    { "model.attention_dropout", OBEYED },
    { "optim.", OBEYED_RATE },
    { "train.", REFUSED },
    { "train.epochs", OBEYED_RATE },
    { "train.validate_every", OBEYED },
    { "train.valid_batch", OBEYED },
    { "train.save_every", OBEYED },
    { "train.keep", OBEYED },
    { "train.patience", OBEYED },
    { "train.log_every", OBEYED },
    { "train.time_limit", OBEYED },
    { "train.memory", OBEYED },
    { "train.precision", OBEYED },
};

static enum rule rule_of(const char *key)
{
    enum rule rule = REFUSED;
    size_t longest = 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        size_t n = strlen(rules[i].key);
        if (n > longest && !strncmp(key, rules[i].key, n)) {
            rule = rules[i].rule;
            longest = n;
        }
    }
    return rule;
}

/* how a value stands in a message */
static void print_value(const struct mega_node *n, struct mega_text *to)
{
    mega_text_clear(to);
    if (n && n->kind == MEGA_NODE_LIST) {
        mega_text_add(to, "[");
        for (const struct mega_node *i = n->first; i; i = i->next)
            mega_text_add(to, "%s%s", i->text ? i->text : "", i->next ? ", " : "");
        mega_text_add(to, "]");
    } else {
        mega_text_add(to, "%s", n && n->text && *n->text ? n->text : "(nothing)");
    }
}

struct comparison {
    const struct mega_document *old, *fresh;
    bool force;
    void (*say)(void *, const char *);
    void *arg;
    struct mega_text *changes;
};

static void tell(const struct comparison *c, const char *key, const char *was, const char *now,
    enum rule rule)
{
    char line[768];
    snprintf(line, sizeof line, "resumed with %s: %.150s instead of %.150s%s", key, now, was,
        rule == OBEYED_RATE ? " (the learning rate may jump)"
        : rule == OBEYED    ? ""
                            : " (forced: the run is no longer exact)");
    if (c->say) c->say(c->arg, line);
    mega_text_add(c->changes, "%s{\"key\": ", c->changes->size ? ", " : "");
    mega_json_add_text(c->changes, key, strlen(key));
    mega_text_add(c->changes, ", \"was\": ");
    mega_json_add_text(c->changes, was, strlen(was));
    mega_text_add(c->changes, ", \"now\": ");
    mega_json_add_text(c->changes, now, strlen(now));
    mega_text_add(c->changes, "}");
}

static mega_status compare_value(const struct comparison *c, const char *key,
    const struct mega_node *a, const struct mega_node *b)
{
    struct mega_text was = { 0 }, now = { 0 };
    print_value(a, &was);
    print_value(b, &now);
    mega_status status = MEGA_OK;
    if (was.failed || now.failed) {
        status = mega_fail(MEGA_NO_MEMORY, "no memory to compare recipes");
    } else if (strcmp(was.data, now.data) != 0) {
        enum rule rule = rule_of(key);
        if (rule == NEVER || (rule == REFUSED && !c->force))
            status = mega_fail(MEGA_BAD_ARGUMENT,
                "cannot resume with %s: %s: the run began with %s (%s)%s", key, now.data,
                was.data, c->old->name,
                rule == NEVER ? "; a changed model needs a fresh run"
                              : "; take the old value, a fresh --run, or --force");
        else
            tell(c, key, was.data, now.data, rule);
    }
    mega_text_done(&was);
    mega_text_done(&now);
    return status;
}

/* every leaf of the new recipe; both are full, so they have the same keys unless the program
 * itself changed */
static mega_status compare(
    const struct comparison *c, const char *prefix, const struct mega_node *map)
{
    for (const struct mega_node *n = map->first; n; n = n->next) {
        char key[256];
        snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", n->key);
        if (n->kind == MEGA_NODE_MAP)
            MEGA_TRY(compare(c, key, n));
        else
            MEGA_TRY(compare_value(c, key, mega_node_find(c->old->root, key), n));
    }
    return MEGA_OK;
}

mega_status mega_resume_compare(const char *old_name, const struct mega_text *old,
    const struct mega_text *fresh, bool force, void (*say)(void *, const char *), void *arg,
    struct mega_text *changes)
{
    struct mega_document a = { 0 }, b = { 0 };
    MEGA_TRY(mega_yaml_parse(&a, old_name, old->data, old->size));
    mega_status status = mega_yaml_parse(&b, "the recipe", fresh->data, fresh->size);
    if (!status)
        status = compare(&(struct comparison){ &a, &b, force, say, arg, changes }, "", b.root);
    mega_document_done(&a);
    mega_document_done(&b);
    return status;
}
