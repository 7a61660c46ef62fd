/* Generating: a language model continues texts.
 *
 *     static bool print(void *arg, const struct mega_generated *g)
 *     {
 *         fwrite(g->bytes, 1, g->size, arg);
 *         return true;
 *     }
 *     ...
 *     mega_context *c;
 *     mega_generator *g;
 *     struct mega_prompt prompt = { "Once upon a time", 16 };
 *     if (mega_context_new(&c, NULL) || mega_generator_open(&g, c, "model-folder", NULL) ||
 *         mega_generator_run(g, &prompt, 1, NULL, print, stdout))
 *         fprintf(stderr, "%s\n", mega_message());
 *
 * Any number of prompts may go through the model together; none of them notices the others, and
 * what follows one is a function of prompt, options and the sample's number, not of batch or
 * threads. */
#ifndef MEGAC_GENERATE_H
#define MEGAC_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "megac/context.h"
#include "megac/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mega_generator mega_generator;

/* What stands before a text. AUTO: what the tokenizer puts there; else what began a document
 * when the model was trained here, or the begin token of a Llama; else nothing. Where an empty
 * prompt would leave nothing at all, the begin token, else the end token, stands there. */
enum mega_begin { MEGA_BEGIN_AUTO, MEGA_BEGIN_NONE, MEGA_BEGIN_BOS, MEGA_BEGIN_EOS };

struct mega_generator_options {
    const char *tokenizer; /* file or folder, or "bytes"; NULL: the model's own */
    const char *precision; /* of activations, "float32", "bf16" or "auto"; NULL: float32 */
    enum mega_begin begin;
    int64_t truncate_chunks; /* Megalodon: norms over time forget what a text that is read in
                                holds more than so many chunks back (8 in the authors' program);
                                0: nothing */
};

/* Opens a language model: a folder of this program or of Hugging Face, or a file of another
 * program (see mega convert). `options` may be NULL. The generator is yours to close; the
 * context must outlive it. One generator must not be used by two threads at the same time. */
mega_status mega_generator_open(mega_generator **out, mega_context *c, const char *model,
    const struct mega_generator_options *options);
void mega_generator_close(mega_generator *g);

/* Borrowed from the generator. */
const mega_tokenizer *mega_generator_tokenizer(const mega_generator *g);
/* Places that a text can have, 0: any number. */
int64_t mega_generator_context(const mega_generator *g);

/* Why a text ended. */
enum mega_ending {
    MEGA_ENDING_NONE,       /* it has not */
    MEGA_ENDING_TOKENS,     /* as many new tokens as asked for */
    MEGA_ENDING_END,        /* the model's end token */
    MEGA_ENDING_STOP,       /* a stop string */
    MEGA_ENDING_CONTEXT,    /* the context is full */
    MEGA_ENDING_INTERRUPTED /* the listener said so */
};
const char *mega_ending_name(enum mega_ending ending); /* "tokens", "end", ... */

struct mega_generate_options {
    double temperature;        /* 0: always the likeliest token (1) */
    int64_t top_k;             /* 0: off */
    double top_p, min_p;       /* 1, 0: off */
    double repetition_penalty; /* 1: off */
    int64_t seed;
    int64_t tokens;  /* new ones, at most; 0: until the text ends or the context is full */
    int64_t samples; /* of each prompt */
    int64_t batch;   /* texts side by side, at most */
    const char *const *stop; /* [stops] strings that end a text; they do not belong to it */
    int stops;
    bool specials;   /* what spells a special token in a prompt is that token */
    bool slide;      /* a full context goes on with its later half, read in afresh */
    bool ignore_end; /* the end token is a token like others */
};

/* Sets what stands where nothing is given: temperature 1, no filter, seed 1, 256 tokens, one
 * sample, 8 texts side by side. */
void mega_generate_options_init(struct mega_generate_options *o);

struct mega_prompt {
    const char *text;
    size_t size;
};

/* What a listener hears: new bytes of a text, whole characters as long as it goes on, or its
 * end. */
struct mega_generated {
    int64_t text;           /* which one, from 0 */
    int64_t prompt, sample; /* of which prompt the how many-eth */
    const char *bytes;      /* [size], borrowed for the call */
    size_t size;
    enum mega_ending ending; /* other than NONE: nothing follows */
    const int32_t *id;       /* [n]: the text so far, with what was given */
    int64_t n, from;         /* id[from] is the first new one */
};

/* Returns false to end the work. */
typedef bool mega_generate_fn(void *arg, const struct mega_generated *g);

/* Continues each of n prompts. `options` may be NULL. A prompt that the context does not hold
 * is refused before anything is generated. */
mega_status mega_generator_run(mega_generator *g, const struct mega_prompt *prompt, int64_t n,
    const struct mega_generate_options *options, mega_generate_fn *listen, void *arg);

/* Goes on with the texts of the last run (or load), with `more` (NULL: nothing) put behind each
 * of them first. They must all have stood side by side. */
mega_status mega_generator_go_on(mega_generator *g, const struct mega_prompt *more,
    const struct mega_generate_options *options, mega_generate_fn *listen, void *arg);

/* The texts of the last run in a file, written whole or not at all; and back, for go_on, which
 * then continues exactly as if it had never stopped. The state of another model is refused. */
mega_status mega_generator_save(const mega_generator *g, const char *path);
mega_status mega_generator_load(
    mega_generator *g, const char *path, const struct mega_generate_options *options);

/* Texts of the last run or load. */
int64_t mega_generator_texts(const mega_generator *g);

/* Tokens read in and generated since it was opened. */
int64_t mega_generator_fed(const mega_generator *g);

#ifdef __cplusplus
}
#endif
#endif
