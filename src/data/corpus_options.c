#include "data/corpus.h"

#define AT(member) offsetof(struct mega_corpus_options, member)

const struct mega_option mega_corpus_options[] = {
    { "train", MEGA_OPTION_TEXTS, AT(train), "", 0, 0, NULL, "FILES",
        "training text: files (plain or gzip), folders or patterns, one or a list", 0 },
    { "valid", MEGA_OPTION_TEXTS, AT(valid), "", 0, 0, NULL, "FILES",
        "validation text; empty: the share hold_out of train", 0 },
    { "test", MEGA_OPTION_TEXTS, AT(test), "", 0, 0, NULL, "FILES",
        "test text; empty: the share test_share of train", 0 },
    { "format", MEGA_OPTION_CHOICE, AT(format), "auto", 0, 0, MEGA_CORPUS_FORMATS, NULL,
        "what a document is: a file, a line, a paragraph, what stands between separators, a "
        "JSON object a line, an item of fairseq's .idx/.bin; auto: by the name, else a file",
        0 },
    { "text_field", MEGA_OPTION_TEXT, AT(text_field), "text", 0, 0, NULL, "KEY",
        "jsonl: the field that holds the text (a.b: b within a)", 0 },
    { "separator", MEGA_OPTION_TEXT, AT(separator), "<|endoftext|>", 0, 0, NULL, "TEXT",
        "separator: what stands between documents", 0 },
    { "hold_out", MEGA_OPTION_REAL, AT(hold_out), "0.05", 0, 0.9, NULL, "SHARE",
        "where valid is empty: the share of train that validates, by position, before "
        "test_share",
        0 },
    { "test_share", MEGA_OPTION_REAL, AT(test_share), "0", 0, 0.9, NULL, "SHARE",
        "where test is empty: the share at the end of train that only tests", 0 },
    { "end_of_document", MEGA_OPTION_CHOICE, AT(end_of_document), "auto", 0, 0,
        "none|eos|bos|auto", NULL,
        "the token that every document is given at its end; auto: eos where the tokenizer has "
        "one",
        0 },
    { "start", MEGA_OPTION_CHOICE, AT(start), "auto", 0, 0, "auto|none|eos|bos", NULL,
        "the first input where a document begins a row; none: its first token is not scored; "
        "auto: end_of_document",
        0 },
    { "cache", MEGA_OPTION_TEXT, AT(cache), "", 0, 0, NULL, "FOLDER",
        "where tokens are kept; empty: MEGA_CACHE, else ~/.cache/mega; none: nowhere", 0 },
    { "rows", MEGA_OPTION_CHOICE, AT(rows), "none", 0, 0, MEGA_TEXT_ROWS, NULL,
        "what a row is: a stretch of `length` tokens, a document, whole documents up to "
        "`length`, whole documents that do not see each other (packed), a document in pieces",
        0 },
    { "length", MEGA_OPTION_INT, AT(length), "1024", 1, 1 << 30, NULL, "N", "tokens of a row",
        0 },
    { "least", MEGA_OPTION_INT, AT(least), "1", 1, 1 << 20, NULL, "N",
        "a row is m times `length` long, m drawn from least ... most for each row and epoch "
        "(Mega LM: --variant-block-multiple-min)",
        0 },
    { "most", MEGA_OPTION_INT, AT(most), "1", 1, 1 << 20, NULL, "N", "see least", 0 },
    { "align", MEGA_OPTION_INT, AT(align), "1", 1, 1 << 20, NULL, "N",
        "packed: documents begin at multiples of it", 0 },
    { "shift", MEGA_OPTION_BOOL, AT(shift), "false", 0, 0, NULL, NULL,
        "none: the first row of each epoch has a random length, so that cuts move", 0 },
    { "evaluate", MEGA_OPTION_CHOICE, AT(evaluate), "auto", 0, 0, "rows|stream|window|auto",
        NULL,
        "how valid and test are scored: rows as in training; in order with the state carried; "
        "windows that overlap; auto: stream where the model's memory is constant, else rows. "
        "Each token once",
        0 },
    { "streams", MEGA_OPTION_INT, AT(streams), "1", 1, 1 << 20, NULL, "N",
        "stream, window: the text is cut into so many parts (Mega LM: --valid-block splits:N); "
        "with rows eos or document each document is one",
        0 },
    { "segment", MEGA_OPTION_INT, AT(segment), "0", 0, 1 << 30, NULL, "N",
        "stream: tokens a step; window: tokens of a window; 0: length", 0 },
    { "stride", MEGA_OPTION_INT, AT(stride), "0", 0, 1 << 30, NULL, "N",
        "window: tokens that each window scores; 0: half of it", 0 },
    { 0 },
};
