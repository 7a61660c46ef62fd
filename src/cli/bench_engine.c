#include "cli/bench_engine.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/machine.h"

const char *mega_engine_forms(void)
{
    return mega_machine_has("avx512_bf16") || mega_machine_has("amx_bf16")
               ? "eager,dropout,real,compiled,real-compiled,bf16,compiled-bf16,real-compiled-"
                 "bf16"
               : "eager,dropout,real,compiled,real-compiled";
}

/* ---- forms ---- */

static mega_status set_word(struct mega_engine *e, const char *form, const char *word, int size)
{
    static const char words[] = "eager|real|compiled|dropout|bf16";
    char name[16];
    snprintf(name, sizeof name, "%.*s", size, word);
    switch (mega_choice_find(words, name)) {
    case 0: break;
    case 1: e->real = true; break;
    case 2: e->compiled = true; break;
    case 3: e->dropout = true; break;
    case 4: e->bf16 = true; break;
    default:
        return mega_fail(MEGA_BAD_ARGUMENT,
            "--peer-forms: '%s': expected eager, real, compiled, dropout, bf16, or some of "
            "these joined by '-'",
            form);
    }
    return MEGA_OK;
}

static mega_status read_form(struct mega_engine *e, const char *form)
{
    e->peer = true;
    for (const char *word = form; *word;) {
        int size = (int)strcspn(word, "-");
        MEGA_TRY(set_word(e, form, word, size));
        word += size + (word[size] == '-');
    }
    snprintf(e->name, sizeof e->name, "torch%s%s%s%s%s", e->real ? " real" : "",
        e->compiled ? " compiled" : "", e->real || e->compiled ? "" : " eager",
        e->dropout ? " dropout" : "", e->bf16 ? " bf16" : "");
    return MEGA_OK;
}

static mega_status add_peers(struct mega_engines *to, const struct mega_words *forms)
{
    for (const char *f = mega_words_first(forms); f; f = mega_words_next(forms, f)) {
        if (to->n == MEGA_ENGINES)
            return mega_fail(
                MEGA_BAD_ARGUMENT, "--peer-forms: more than %d forms", MEGA_ENGINES - 1);
        MEGA_TRY(read_form(&to->item[to->n++], f));
    }
    return MEGA_OK;
}

mega_status mega_engines_read(struct mega_engines *to, const char *forms)
{
    struct mega_words words = { 0 };
    *to = (struct mega_engines){ .item = { { .name = "mega.c" } }, .n = 1 };
    mega_words_split(&words, forms);
    mega_status status = words.text.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory for the peers")
                             : add_peers(to, &words);
    mega_words_done(&words);
    return status;
}

/* the peers' script of this model, torch_<name>.py; NULL: there is none */
static const char *script_of(const struct mega_subject *s)
{
    static const char *const language[] = { "megalodon", "llama", "gpt2" };
    const char *decoder = mega_subject_decoder(s);
    if (!decoder) return s->mixer == MEGA_SUBJECT_ATTENTION ? "transformer" : "mega";
    for (size_t i = 0; i < sizeof language / sizeof *language; i++)
        if (!strcmp(decoder, language[i])) return language[i];
    return NULL;
}

bool mega_engine_takes(const struct mega_engine *e, const struct mega_subject *s)
{
    bool attention = s->mixer == MEGA_SUBJECT_ATTENTION;
    /* one token more would be compiled anew */
    bool anew = e->compiled && s->mode == MEGA_SUBJECT_GENERATE;
    if (s->decoder) return !e->peer || (script_of(s) && !e->real && !e->dropout && !anew);
    if (e->real && attention) return false;
    return !e->dropout || (attention && s->mode == MEGA_SUBJECT_TRAIN && s->dropout > 0);
}

/* ---- command lines ---- */

/* the first of the usual places that holds the scripts */
static mega_status find_folder(struct mega_bench_setup *s)
{
    static const char *const places[] = { "../share/megac/peers", "../bench/peers" };
    int beside = (int)(strrchr(s->self, '/') - s->self);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char folder[PATH_MAX];
        snprintf(folder, sizeof folder, "%.*s/%s", beside, s->self, places[i]);
        if (!mega_path_is_folder(folder) || strlen(folder) >= sizeof s->folder) continue;
        strcpy(s->folder, folder);
        return MEGA_OK;
    }
    return mega_fail(MEGA_IO,
        "the peers' scripts are not beside this program: name their folder with --peer-folder");
}

mega_status mega_bench_setup_find(struct mega_bench_setup *s, const char *folder, bool peers)
{
    ssize_t size = readlink("/proc/self/exe", s->self, sizeof s->self - 1);
    if (size < 1) return mega_fail_errno("find", "this program");
    s->self[size] = 0;
    if (!peers) return MEGA_OK;
    if (!*folder) return find_folder(s);
    if (!mega_path_is_folder(folder) || strlen(folder) >= sizeof s->folder)
        return mega_fail(MEGA_BAD_ARGUMENT, "--peer-folder: there is no folder %s", folder);
    strcpy(s->folder, folder);
    return MEGA_OK;
}

static void add_flag(struct mega_words *to, const char *name, const char *value)
{
    if (!*value) return;
    mega_words_add(to, "--%s", name);
    mega_words_add(to, "%s", value);
}

static void add_count(struct mega_words *to, const char *name, int value)
{
    mega_words_add(to, "--%s", name);
    mega_words_add(to, "%d", value);
}

static void add_form(
    const struct mega_engine *e, const struct mega_subject *s, struct mega_words *to)
{
    if (e->real) add_flag(to, "form", "real");
    if (e->compiled) mega_words_add(to, "--compiled");
    if (e->bf16) add_flag(to, "autocast", "bf16");
    if (!e->dropout) return;
    mega_words_add(to, "--attention-dropout");
    mega_words_add(to, "%g", s->dropout);
}

void mega_engine_command(const struct mega_engine *e, const struct mega_subject *s,
    const struct mega_bench_setup *setup, struct mega_words *to)
{
    if (e->peer) {
        mega_words_add(to, "%s", setup->python);
        mega_words_add(to, "%s/torch_%s.py", setup->folder, script_of(s));
        add_form(e, s, to);
    } else {
        mega_words_add(to, "%s", setup->self);
        mega_words_add(to, "bench");
        mega_words_add(to, "step");
        add_flag(to, "isa", setup->isa);
        add_flag(to, "rooms", setup->rooms);
    }
    mega_subject_flags(s, !e->peer, to);
    add_count(to, "threads", setup->threads);
    add_count(to, "steps", setup->steps);
    add_count(to, "warmup", setup->warmup);
}
