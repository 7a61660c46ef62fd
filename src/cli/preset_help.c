#include "cli/preset_help.h"

#include <string.h>

#include "cli/command.h"
#include "model/presets.h"

/* "6738.4 million" parameters, or nothing where it cannot be told */
static void print_count(const struct mega_preset *p, char out[32])
{
    int64_t n;
    *out = 0;
    if (!mega_preset_count(p, &n)) snprintf(out, 32, "%lld", (long long)n);
}

static const char *kind_of(const struct mega_preset *p)
{
    static const char *const kinds[] = { "", "decoder", "encoder", "decoder, encoder", "pair",
        "decoder, pair", "encoder, pair", "decoder, encoder, pair" };
    return kinds[p->of & 7];
}

/* settings that a later list has again are said there */
static bool comes_again(const char *const *list, const char *key, size_t n)
{
    for (; *list; list++)
        for (const char *at = *list; *at;) {
            size_t all = strcspn(at, " ");
            if (!strncmp(at, key, n) && at[n] == '=') return true;
            at += all + (at[all] == ' ');
        }
    return false;
}

/* calls out() for each setting that counts, "rotary: rope" */
static void each_setting(FILE *to, const struct mega_preset *p, unsigned of,
    void (*out)(FILE *to, const char *key, int key_size, const char *value, int size))
{
    struct mega_preset_lists l = mega_preset_settings(p, of, "", true);
    for (const char *const *list = l.list; *list; list++)
        for (const char *at = *list; *at;) {
            size_t key = strcspn(at, "="), all = strcspn(at, " ");
            if (!comes_again(list + 1, at, key))
                out(to, at, (int)key, at + key + 1, (int)(all - key - 1));
            at += all + (at[all] == ' ');
        }
}

static void as_line(FILE *to, const char *key, int key_size, const char *value, int size)
{
    fprintf(to, "  %.*s: %.*s\n", key_size, key, size, value);
}

static void as_cell(FILE *to, const char *key, int key_size, const char *value, int size)
{
    fprintf(to, " `%.*s: %.*s`", key_size, key, size, value);
}

/* an encoder that is one side of nothing has no output layer */
static unsigned widest(const struct mega_preset *p)
{
    return p->of & MEGA_PRESET_PAIR      ? MEGA_PRESET_PAIR
           : p->of & MEGA_PRESET_DECODER ? MEGA_PRESET_DECODER
                                         : MEGA_PRESET_ENCODER;
}

void mega_help_presets(FILE *to)
{
    fputs("Known models as options of the Transformer: model.preset in a recipe fills the keys "
          "that\nare not written. mega help presets NAME prints what one sets.\n\n",
        to);
    fprintf(to, "%-18s %-24s %10s %14s  %s\n", "preset", "makes", "vocabulary", "parameters",
        "what it is");
    for (const struct mega_preset *p = mega_presets; p->name; p++) {
        char count[32];
        print_count(p, count);
        fprintf(to, "%-18s %-24s %10lld %14s  %s\n", p->name, kind_of(p),
            (long long)p->vocabulary, count, p->title);
    }
}

/* the preset nearest to a misspelt name */
static const char *nearest(const char *name)
{
    const char *best = NULL;
    for (const struct mega_preset *p = mega_presets; p->name; p++)
        mega_text_nearer(&best, p->name, name);
    return best;
}

int mega_help_preset(FILE *to, const char *name)
{
    const struct mega_preset *p = mega_preset_find(name);
    char count[32];
    if (!p) {
        const char *near = nearest(name);
        fprintf(stderr, "mega: no preset '%s'%s%s: mega help presets lists them\n", name,
            near ? ", the nearest is " : "", near ? near : "");
        return MEGA_EXIT_USAGE;
    }
    print_count(p, count);
    fprintf(to, "%s: %s\n\n  model: { preset: %s }\n\n", p->name, p->title, p->name);
    fprintf(to, "Makes: %s. With a vocabulary of %lld%s it has %s parameters.\n", kind_of(p),
        (long long)p->vocabulary, p->of & MEGA_PRESET_PAIR ? " and both sides" : "", count);
    fputs("It stands for these keys, where they are not written:\n\n", to);
    each_setting(to, p, widest(p), as_line);
    if (p->of == MEGA_PRESET_PAIR)
        fputs(
            "\nNo task trains a model that reads one text and writes another yet: the library "
            "has it\n(model/encoder_decoder.h).\n",
            to);
    return MEGA_EXIT_OK;
}

void mega_help_presets_markdown(FILE *to)
{
    fputs("# Presets\n\nPrinted from the program's own table by `mega help presets "
          "--markdown`. `model.preset: NAME` fills the keys of a recipe's section `model` that "
          "are not written ([variants.md](../variants.md)). Parameters are those of the "
          "vocabulary beside them; in a recipe the tokenizer says how large it is. A decoder "
          "is for the task `lm`, an encoder for `masked_lm` and tasks that classify; a pair "
          "reads one text and writes another, which no task trains yet.\n\n| preset | what it "
          "is | makes | vocabulary | parameters | keys |\n|---|---|---|--:|--:|---|\n",
        to);
    for (const struct mega_preset *p = mega_presets; p->name; p++) {
        char count[32];
        print_count(p, count);
        fprintf(to, "| `%s` | %s | %s | %lld | %s |", p->name, p->title, kind_of(p),
            (long long)p->vocabulary, count);
        each_setting(to, p, widest(p), as_cell);
        fputs(" |\n", to);
    }
}
