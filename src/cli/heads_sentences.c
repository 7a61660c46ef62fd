#include "cli/heads_sentences.h"

#include <stdio.h>

#include "base/file.h"

mega_status mega_heads_syntax(
    struct mega_heads_session *h, const char *path, int64_t most, struct mega_head_syntax *out)
{
    struct mega_text text = { 0 };
    struct mega_conllu c;
    if (h->session.task || !*path)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "syntax is of language models, and needs sentences: --conllu FILE");
    mega_status status = mega_file_read_gz(path, &text);
    if (!status) status = mega_conllu_parse(&c, path, text.data, text.size);
    mega_text_done(&text);
    if (status) return status;
    bool begun = h->session.files.language.corpus.start == MEGA_START_BOS;
    int32_t start = begun ? mega_tokenizer_special(h->tokenizer, MEGA_BOS) : -1;
    status =
        mega_study_syntax(h->session.run, h->session.model, h->tokenizer, start, &c, most, out);
    mega_conllu_done(&c);
    if (!status && out->left_out)
        fprintf(stderr, "mega: %s: %lld sentences are too long for the model and left out\n",
            path, (long long)out->left_out);
    return status;
}
