/* mega tokenizer train: files of text to a tokenizer. */
#include <stddef.h>
#include <string.h>

#include "cli/command.h"
#include "megac/tokenizer.h"

struct options {
    const char *out;
    int64_t size, least, multiple;
    struct mega_texts specials;
    bool no_specials;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "out", MEGA_OPTION_TEXT, AT(out), NULL, 0, 0, NULL, "FOLDER",
        "where the tokenizer's files go", 'o' },
    { "size", MEGA_OPTION_INT, AT(size), "0", 0, 16777216, NULL, "N",
        "bpe: ids, specials included (0: 32000); codes: merges (0: 10000); words, characters: "
        "ids at most, specials included (0: all)",
        'n' },
    { "min-count", MEGA_OPTION_INT, AT(least), "-1", -1, 9007199254740991.0, NULL, "N",
        "how often a pair, word or character must come; -1: bpe and codes 2, words and "
        "characters 1",
        0 },
    { "multiple", MEGA_OPTION_INT, AT(multiple), "8", 0, 65536, NULL, "N",
        "words, codes: fill the dictionary up to a multiple of N; 0: not", 0 },
    { "special", MEGA_OPTION_TEXTS, AT(specials), "", 0, 0, NULL, "TOKEN",
        "bpe, characters: a special token, instead of <|endoftext|>; may be given again", 's' },
    { "no-special", MEGA_OPTION_BOOL, AT(no_specials), "false", 0, 0, NULL, NULL,
        "bpe, characters: no special tokens", 0 },
    { 0 },
};

static int run(const struct mega_line *line)
{
    static const char *const end_of_text = "<|endoftext|>";
    const struct options *o = line->options;
    if (!o->out || !*o->out) {
        fprintf(stderr, "mega: tokenizer train needs --out FOLDER\n"
                        "Try: mega help tokenizer train\n");
        return MEGA_EXIT_USAGE;
    }
    bool bpe = !strcmp(line->word[0], "bpe"), codes = !strcmp(line->word[0], "codes");
    struct mega_tokenizer_training how = { .kind = line->word[0],
        .size = o->size ? (int32_t)o->size
                : bpe   ? 32000
                : codes ? 10000
                        : 0,
        .least = o->least >= 0  ? o->least
                 : bpe || codes ? 2
                                : 1,
        .multiple = (int32_t)o->multiple,
        .specials = o->specials.n ? o->specials.item : &end_of_text,
        .n_specials = o->no_specials  ? 0
                      : o->specials.n ? o->specials.n
                                      : 1 };
    mega_tokenizer *t;
    mega_status status = mega_tokenizer_train(&t, &how, line->word + 1, line->n_words - 1);
    if (status) return mega_command_fail(status);
    status = mega_tokenizer_save(t, o->out);
    if (!status)
        printf("%s: %s, vocabulary %d\n", o->out, mega_tokenizer_kind(t),
            (int)mega_tokenizer_size(t));
    mega_tokenizer_close(t);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_tokenizer_train = {
    .name = "tokenizer train",
    .summary = "Train a tokenizer on texts",
    .words = "bpe|codes|words|characters FILE...",
    .least = 2,
    .most = -1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "bpe is byte-level BPE over GPT-2's words: 256 bytes, merges, special tokens. It is "
        "written as tokenizer.json, and as vocab.json with merges.txt; Hugging Face's library "
        "reads both. It takes any bytes.\n\n"
        "codes are merges inside words as subword-nmt learns them: bpe.codes, with a dict.txt "
        "of "
        "the pieces that they make of the files. words is a dict.txt as fairseq's "
        "preprocessing "
        "writes it (its --nwords is --size, its --threshold --min-count, its --padding-factor "
        "--multiple). characters is a tokenizer.json without merges, with <unk> for the rest. "
        "These three ask for valid UTF-8.\n\n"
        "The same files, in any order, give the same tokenizer, byte for byte.",
    .run = run,
};
