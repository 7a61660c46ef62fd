/* Opcodes of classes, calls and objects. Classes are names, objects are what they hold. */
#include <string.h>

#include "base/fail.h"
#include "format/pickle_machine.h"

enum { NAME_MOST = 256 };

static bool is_reconstructor(const char *name)
{
    return !strcmp(name, "copy_reg._reconstructor") || !strcmp(name, "copyreg._reconstructor");
}

/* the base of classes is named by reconstructors */
static bool is_object(const char *name)
{
    return !strcmp(name, "__builtin__.object") || !strcmp(name, "builtins.object");
}

static mega_status push_class(struct mega_pickle_machine *m, const void *module,
    size_t module_size, const void *name, size_t name_size)
{
    char whole[2 * NAME_MOST + 2];
    if (module_size > NAME_MOST || name_size > NAME_MOST || memchr(module, 0, module_size) ||
        memchr(name, 0, name_size))
        return mega_pickle_refuse(m, "the name of a class that cannot be one");
    memcpy(whole, module, module_size);
    whole[module_size] = '.';
    memcpy(whole + module_size + 1, name, name_size);
    whole[module_size + 1 + name_size] = 0;
    if (!mega_pickle_knows_plain(whole) && !is_reconstructor(whole) && !is_object(whole) &&
        m->world->knows(whole) == MEGA_PICKLE_UNKNOWN)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: byte %zu: the pickle wants %s of Python, which is neither a tensor nor plain "
            "data: save the state dict alone",
            m->p->name, (size_t)(m->at - m->bytes), whole);
    return mega_pickle_push(m, mega_value_text(m->p, MEGA_VALUE_CLASS, whole, strlen(whole)));
}

mega_status mega_pickle_global(struct mega_pickle_machine *m)
{
    const unsigned char *module, *name;
    size_t module_size, name_size;
    MEGA_TRY(mega_pickle_line(m, &module, &module_size));
    MEGA_TRY(mega_pickle_line(m, &name, &name_size));
    return push_class(m, module, module_size, name, name_size);
}

mega_status mega_pickle_stack_global(struct mega_pickle_machine *m)
{
    MEGA_TRY(mega_pickle_need(m, 2));
    const struct mega_value *module = m->stack[m->n - 2], *name = mega_pickle_top(m);
    if (module->kind != MEGA_VALUE_TEXT || name->kind != MEGA_VALUE_TEXT)
        return mega_pickle_refuse(m, "a class whose name is no text");
    m->n -= 2;
    return push_class(m, module->text, module->size, name->text, name->size);
}

static mega_status new_object(struct mega_pickle_machine *m, const char *class,
    const struct mega_value *args, struct mega_value **out)
{
    struct mega_value *v = *out = mega_value_new(m->p, MEGA_VALUE_OBJECT);
    if (!v) return mega_pickle_no_memory(m->p);
    v->text = class;
    if (!args->n) return MEGA_OK;
    struct mega_value *key = mega_value_text(m->p, MEGA_VALUE_TEXT, "__args__", 8);
    if (!key) return mega_pickle_no_memory(m->p);
    MEGA_TRY(mega_value_add(m->p, v, key));
    return mega_value_add(m->p, v, (struct mega_value *)(uintptr_t)args);
}

/* _reconstructor(class, object, None): an object without arguments */
static mega_status reconstruct(
    struct mega_pickle_machine *m, const struct mega_value *args, struct mega_value **out)
{
    static const struct mega_value nothing = { .kind = MEGA_VALUE_TUPLE };
    if (args->n != 3 || args->item[0]->kind != MEGA_VALUE_CLASS ||
        args->item[1]->kind != MEGA_VALUE_CLASS || !is_object(args->item[1]->text) ||
        m->world->knows(args->item[0]->text) != MEGA_PICKLE_INERT)
        return mega_pickle_refuse(m, "an object is made in a way that is not known here");
    return new_object(m, args->item[0]->text, &nothing, out);
}

/* what a call of `class` with `args` gives */
static mega_status call(struct mega_pickle_machine *m, const struct mega_value *class,
    const struct mega_value *args, struct mega_value **out)
{
    *out = NULL;
    if (class->kind != MEGA_VALUE_CLASS || args->kind != MEGA_VALUE_TUPLE)
        return mega_pickle_refuse(m, "a call of what is no class, or without arguments");
    if (is_reconstructor(class->text)) return reconstruct(m, args, out);
    mega_status status = mega_pickle_call_plain(m->p, class->text, args, out);
    if (!status && !*out) {
        enum mega_pickle_known known = m->world->knows(class->text);
        if (known == MEGA_PICKLE_INERT) return new_object(m, class->text, args, out);
        if (known == MEGA_PICKLE_UNKNOWN)
            return mega_pickle_refuse(m, "a call of what cannot be called");
        status = m->world->call(m->world->self, m->p, class->text, args, out);
    }
    if (!status || status == MEGA_NO_MEMORY) return status;
    return mega_fail_in(status, "%s: byte %zu: ", m->p->name, (size_t)(m->at - m->bytes));
}

/* `keywords`: a map of further arguments stands above them */
static mega_status step_call(struct mega_pickle_machine *m, size_t keywords)
{
    struct mega_value *made;
    MEGA_TRY(mega_pickle_need(m, 2 + keywords));
    if (keywords && (mega_pickle_top(m)->kind != MEGA_VALUE_MAP || mega_pickle_top(m)->n))
        return mega_pickle_refuse(m, "a call with arguments by name");
    m->n -= keywords;
    MEGA_TRY(call(m, m->stack[m->n - 2], mega_pickle_top(m), &made));
    m->n -= 2;
    return mega_pickle_push(m, made);
}

mega_status mega_pickle_reduce(struct mega_pickle_machine *m)
{
    return step_call(m, 0);
}

mega_status mega_pickle_new_with_names(struct mega_pickle_machine *m)
{
    return step_call(m, 1);
}

static mega_status add_pairs(
    struct mega_pickle_machine *m, struct mega_value *to, const struct mega_value *from)
{
    for (size_t i = 0, n = from->n; i < n; i++)
        MEGA_TRY(mega_value_add(m->p, to, from->item[i]));
    return MEGA_OK;
}

/* state of an object: a map, a pair of maps (its slots are the second), or another value */
static mega_status set_state(
    struct mega_pickle_machine *m, struct mega_value *to, struct mega_value *state)
{
    if (state->kind == MEGA_VALUE_MAP) return add_pairs(m, to, state);
    bool pair = state->kind == MEGA_VALUE_TUPLE && state->n == 2;
    for (size_t i = 0; pair && i < 2; i++)
        pair = state->item[i]->kind == MEGA_VALUE_MAP ||
               (!i && state->item[i]->kind == MEGA_VALUE_NONE);
    if (pair) {
        MEGA_TRY(add_pairs(m, to, state->item[0]));
        return add_pairs(m, to, state->item[1]);
    }
    struct mega_value *key = mega_value_text(m->p, MEGA_VALUE_TEXT, "__state__", 9);
    if (!key) return mega_pickle_no_memory(m->p);
    MEGA_TRY(mega_value_add(m->p, to, key));
    return mega_value_add(m->p, to, state);
}

/* attributes of containers and tensors play no part */
mega_status mega_pickle_build(struct mega_pickle_machine *m)
{
    MEGA_TRY(mega_pickle_need(m, 2));
    struct mega_value *state = mega_pickle_top(m), *to = m->stack[m->n - 2];
    m->n--;
    if (to->kind == MEGA_VALUE_OBJECT) return set_state(m, to, state);
    if (to->kind >= MEGA_VALUE_LIST && to->kind != MEGA_VALUE_CLASS) return MEGA_OK;
    return mega_pickle_refuse(m, "attributes are set on what has none");
}

mega_status mega_pickle_persistent(struct mega_pickle_machine *m)
{
    struct mega_value *made = NULL;
    MEGA_TRY(mega_pickle_need(m, 1));
    mega_status status =
        m->world->persistent
            ? m->world->persistent(m->world->self, m->p, mega_pickle_top(m), &made)
            : mega_fail(MEGA_BAD_FILE, "a reference to something outside");
    if (status == MEGA_NO_MEMORY) return status;
    if (status)
        return mega_fail_in(status, "%s: byte %zu: ", m->p->name, (size_t)(m->at - m->bytes));
    m->n--;
    return mega_pickle_push(m, made);
}
