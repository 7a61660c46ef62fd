/* mega tokenizer info: what a tokenizer is. */
#include "cli/command.h"
#include "megac/tokenizer.h"

static void print_piece(const mega_tokenizer *t, const char *what, int32_t id)
{
    size_t size;
    const char *piece = mega_tokenizer_piece(t, id, &size);
    if (!piece) return;
    printf("%-10s %d ", what, (int)id);
    fwrite(piece, 1, size, stdout);
    printf("\n");
}

static int run(const struct mega_line *line)
{
    static const char *const names[] = { "begin", "end", "padding", "unknown" };
    mega_tokenizer *t;
    mega_status status = mega_tokenizer_open(&t, line->word[0]);
    if (status) return mega_command_fail(status);
    printf(
        "kind       %s\nvocabulary %d\n", mega_tokenizer_kind(t), (int)mega_tokenizer_size(t));
    for (int i = 0; i < 4; i++)
        print_piece(t, names[i], mega_tokenizer_special(t, (enum mega_special)i));
    for (int32_t id = 0; id < mega_tokenizer_size(t); id++)
        if (mega_tokenizer_is_special(t, id)) print_piece(t, "special", id);
    mega_tokenizer_close(t);
    return MEGA_EXIT_OK;
}

const struct mega_command mega_command_tokenizer_info = {
    .name = "tokenizer info",
    .summary = "Say what a tokenizer is: kind, size of its vocabulary, special tokens",
    .words = "TOKENIZER",
    .least = 1,
    .most = 1,
    .run = run,
};
