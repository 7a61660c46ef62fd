/* What the names in a pickle of PyTorch stand for: tensors over storages, arguments objects. */
#include <math.h>
#include <string.h>

#include "format/torch.h"

/* ---- types ---- */

static const struct {
    const char *name, *dtype;
} storages[] = { { "torch.DoubleStorage", "F64" }, { "torch.FloatStorage", "F32" },
    { "torch.HalfStorage", "F16" }, { "torch.BFloat16Storage", "BF16" },
    { "torch.LongStorage", "I64" }, { "torch.IntStorage", "I32" },
    { "torch.ShortStorage", "I16" }, { "torch.CharStorage", "I8" },
    { "torch.ByteStorage", "U8" }, { "torch.BoolStorage", "BOOL" },
    { "torch.ComplexFloatStorage", "C64" }, { "torch.ComplexDoubleStorage", "C128" },
    { "torch.storage.UntypedStorage", "" }, { "torch.UntypedStorage", "" } };

static const struct {
    const char *name, *dtype;
} dtypes[] = { { "torch.float64", "F64" }, { "torch.float32", "F32" },
    { "torch.float16", "F16" }, { "torch.bfloat16", "BF16" }, { "torch.int64", "I64" },
    { "torch.int32", "I32" }, { "torch.int16", "I16" }, { "torch.int8", "I8" },
    { "torch.uint64", "U64" }, { "torch.uint32", "U32" }, { "torch.uint16", "U16" },
    { "torch.uint8", "U8" }, { "torch.bool", "BOOL" }, { "torch.float8_e4m3fn", "F8_E4M3" },
    { "torch.float8_e5m2", "F8_E5M2" }, { "torch.complex64", "C64" },
    { "torch.complex128", "C128" } };

static const char *storage_type(const char *name)
{
    for (size_t i = 0; i < sizeof storages / sizeof *storages; i++)
        if (!strcmp(storages[i].name, name)) return storages[i].dtype;
    return NULL;
}

static const char *dtype_of(const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtypes[i].name, name)) return dtypes[i].dtype;
    return NULL;
}

/* ---- arguments of calls ---- */

static mega_status refuse(const char *name, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s: %s", name, what);
}

static const struct mega_value *argument(const struct mega_value *args, size_t i)
{
    static const struct mega_value none = { .kind = MEGA_VALUE_NONE };
    return i < args->n ? args->item[i] : &none;
}

static void *foreign(const struct mega_value *v, int tag)
{
    return v->kind == MEGA_VALUE_FOREIGN && v->tag == tag ? v->thing : NULL;
}

static mega_status make_foreign(
    struct mega_pickle *p, int tag, void *thing, struct mega_value **out)
{
    *out = mega_value_new(p, MEGA_VALUE_FOREIGN);
    if (!*out) return mega_pickle_no_memory(p);
    (*out)->tag = tag;
    (*out)->thing = thing;
    return MEGA_OK;
}

/* a tuple of at most eight numbers that are not negative */
static mega_status take_sizes(
    const char *name, const struct mega_value *from, int64_t *to, int *n)
{
    if (from->kind != MEGA_VALUE_TUPLE && from->kind != MEGA_VALUE_LIST)
        return refuse(name, "a shape that is no tuple");
    if (from->n > MEGA_ST_RANK) return refuse(name, "a tensor of more than 8 dimensions");
    for (size_t i = 0; i < from->n; i++) {
        if (from->item[i]->kind != MEGA_VALUE_INT || from->item[i]->integer < 0)
            return refuse(name, "a size or stride that is no number from 0");
        to[i] = from->item[i]->integer;
    }
    *n = (int)from->n;
    return MEGA_OK;
}

/* ---- tensors ---- */

/* (storage, offset, size, stride, ...); the third form has the type as its seventh */
static mega_status call_tensor(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    struct mega_torch_storage *s = foreign(argument(args, 0), MEGA_TORCH_STORAGE);
    const struct mega_value *offset = argument(args, 1), *type = argument(args, 6);
    struct mega_torch_tensor *t = mega_arena_zeroed(&p->arena, sizeof *t);
    int strides;
    if (!t) return mega_pickle_no_memory(p);
    if (!s || offset->kind != MEGA_VALUE_INT || offset->integer < 0)
        return refuse(name, "expected a storage and an offset");
    MEGA_TRY(take_sizes(name, argument(args, 2), t->dim, &t->rank));
    MEGA_TRY(take_sizes(name, argument(args, 3), t->stride, &strides));
    if (strides != t->rank) return refuse(name, "sizes and strides differ in number");
    t->storage = s;
    t->offset = offset->integer;
    bool typed = name[strlen(name) - 1] == '3';
    t->dtype = typed && type->kind == MEGA_VALUE_CLASS ? dtype_of(type->text) : s->dtype;
    if (!t->dtype || !*t->dtype || (typed && *s->dtype))
        return refuse(name, "the type of a tensor is not known");
    return make_foreign(p, MEGA_TORCH_TENSOR, t, out);
}

/* (data, requires_grad, hooks, ...): the data */
static mega_status call_parameter(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    void *t = foreign(argument(args, 0), MEGA_TORCH_TENSOR);
    if (!t) return refuse(name, "a parameter of what is no tensor");
    return make_foreign(p, MEGA_TORCH_TENSOR, t, out);
}

static mega_status call(void *self, struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out);

/* (function, class, arguments, attributes): what the function gives; once */
static mega_status call_from_type(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    const struct mega_value *f = argument(args, 0), *inner = argument(args, 2);
    if (f->kind != MEGA_VALUE_CLASS || inner->kind != MEGA_VALUE_TUPLE ||
        strncmp(f->text, "torch._utils._rebuild_", 22) != 0)
        return refuse(name, "a tensor made in a way that is not known here");
    return call(NULL, p, f->text, inner, out);
}

/* torch.Size((2, 3)) */
static mega_status call_size(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    const struct mega_value *from = argument(args, 0);
    if (from->kind != MEGA_VALUE_TUPLE && from->kind != MEGA_VALUE_LIST)
        return refuse(name, "expected a tuple");
    *out = mega_value_new(p, MEGA_VALUE_TUPLE);
    if (!*out) return mega_pickle_no_memory(p);
    for (size_t i = 0; i < from->n; i++) MEGA_TRY(mega_value_add(p, *out, from->item[i]));
    return MEGA_OK;
}

/* torch.device("cuda", 0): its name */
static mega_status call_device(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    const struct mega_value *device = argument(args, 0);
    if (device->kind != MEGA_VALUE_TEXT) return refuse(name, "expected a text");
    *out = mega_value_text(p, MEGA_VALUE_TEXT, device->text, device->size);
    return *out ? MEGA_OK : mega_pickle_no_memory(p);
}

/* ---- numbers of NumPy ---- */

/* scalar(dtype("f8"), bytes) */
static mega_status call_scalar(struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    static const struct {
        const char *code, *dtype;
    } codes[] = { { "f8", "F64" }, { "f4", "F32" }, { "f2", "F16" }, { "i8", "I64" },
        { "i4", "I32" }, { "i2", "I16" }, { "i1", "I8" }, { "u8", "U64" }, { "u4", "U32" },
        { "u2", "U16" }, { "u1", "U8" }, { "b1", "BOOL" } };
    const struct mega_value *bytes = argument(args, 1),
                            *inner = mega_value_find(argument(args, 0), "__args__"),
                            *code = inner ? argument(inner, 0) : bytes;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (code->kind != MEGA_VALUE_TEXT || strcmp(code->text, codes[i].code) != 0) continue;
        struct mega_st_tensor one = { .data = bytes->text, .count = 1 };
        strcpy(one.dtype, codes[i].dtype);
        if (bytes->kind != MEGA_VALUE_BYTES || bytes->size != mega_st_item_size(one.dtype))
            return refuse(name, "a number of another size than its type");
        bool real = *codes[i].code == 'f';
        *out = mega_value_new(p, real ? MEGA_VALUE_REAL : MEGA_VALUE_INT);
        if (!*out) return mega_pickle_no_memory(p);
        if (real)
            (*out)->real = mega_st_real(&one, 0);
        else
            (*out)->integer = mega_st_int(&one, 0);
        return MEGA_OK;
    }
    return refuse(name, "a number of a type that is not known");
}

/* ---- the tables ---- */

static const struct {
    const char *name;
    mega_status (*call)(struct mega_pickle *p, const char *name, const struct mega_value *args,
        struct mega_value **out);
} calls[] = { { "torch._utils._rebuild_tensor", call_tensor },
    { "torch._utils._rebuild_tensor_v2", call_tensor },
    { "torch._utils._rebuild_tensor_v3", call_tensor },
    { "torch._utils._rebuild_parameter", call_parameter },
    { "torch._utils._rebuild_parameter_with_state", call_parameter },
    { "torch._tensor._rebuild_from_type_v2", call_from_type }, { "torch.Size", call_size },
    { "torch.device", call_device }, { "numpy.core.multiarray.scalar", call_scalar },
    { "numpy._core.multiarray.scalar", call_scalar } };

/* named, but never called */
static const char *const classes[] = { "torch.Tensor", "torch.nn.parameter.Parameter",
    "builtins.int", "builtins.float", "builtins.bool", "builtins.str", "builtins.list",
    "builtins.tuple", "__builtin__.int", "__builtin__.float", "__builtin__.list",
    "__builtin__.str", "typing.Any" };

/* arguments of training programs and what lies beside them; a name that ends with a dot stands
 * for all below it */
static const char *const inert[] = { "argparse.Namespace", "types.SimpleNamespace",
    "pathlib.PosixPath", "pathlib.Path", "numpy.dtype", "numpy.ndarray",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "fairseq.",
    "megatron.", "megalodon.", "omegaconf." };

static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);
    return pattern[n - 1] == '.' ? !strncmp(name, pattern, n) : !strcmp(name, pattern);
}

static enum mega_pickle_known knows(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(calls[i].name, name)) return MEGA_PICKLE_CALLED;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (!strcmp(classes[i], name)) return MEGA_PICKLE_CALLED;
    for (size_t i = 0; i < sizeof inert / sizeof *inert; i++)
        if (matches(inert[i], name)) return MEGA_PICKLE_INERT;
    return storage_type(name) || dtype_of(name) ? MEGA_PICKLE_CALLED : MEGA_PICKLE_UNKNOWN;
}

static mega_status call(void *self, struct mega_pickle *p, const char *name,
    const struct mega_value *args, struct mega_value **out)
{
    (void)self;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(calls[i].name, name)) return calls[i].call(p, name, args, out);
    return refuse(name, "it is called, and that is not known here");
}

/* ("storage", class, key, place, elements, view) */
static mega_status persistent(
    void *self, struct mega_pickle *p, const struct mega_value *id, struct mega_value **out)
{
    struct mega_torch *t = self;
    const struct mega_value *word = argument(id, 0), *class = argument(id, 1),
                            *key = argument(id, 2), *count = argument(id, 4);
    if (id->kind != MEGA_VALUE_TUPLE || word->kind != MEGA_VALUE_TEXT ||
        strcmp(word->text, "storage") != 0 || class->kind != MEGA_VALUE_CLASS ||
        key->kind != MEGA_VALUE_TEXT || count->kind != MEGA_VALUE_INT || count->integer < 0)
        return mega_fail(MEGA_BAD_FILE, "a reference to something else than a storage");
    const char *dtype = storage_type(class->text);
    if (!dtype)
        return mega_fail(MEGA_UNSUPPORTED, "a storage of the class %s, which is not known here",
            class->text);
    if (argument(id, 5)->kind != MEGA_VALUE_NONE)
        return mega_fail(MEGA_UNSUPPORTED, "a storage that is a view of another");
    struct mega_torch_storage *s = mega_arena_zeroed(&p->arena, sizeof *s);
    if (!s) return mega_pickle_no_memory(p);
    *s = (struct mega_torch_storage){ key->text, dtype, count->integer, NULL, NULL };
    if (t->last_storage)
        t->last_storage->next = s;
    else
        t->storage = s;
    t->last_storage = s;
    return make_foreign(p, MEGA_TORCH_STORAGE, s, out);
}

const struct mega_pickle_world mega_torch_world = { NULL, knows, call, persistent };
