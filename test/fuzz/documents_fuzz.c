#include <stdlib.h>
#include <string.h>

#include "data/documents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* documents with their lengths before them */
struct written {
    struct mega_text all, one;
};

static mega_status take(void *arg, const char *bytes, size_t n)
{
    struct written *w = arg;
    mega_text_add_bytes(&w->one, bytes, n);
    return MEGA_OK;
}

static mega_status end(void *arg)
{
    struct written *w = arg;
    mega_text_add(&w->all, "%zu:", w->one.size);
    mega_text_add_bytes(&w->all, w->one.data ? w->one.data : "", w->one.size);
    mega_text_clear(&w->one);
    return MEGA_OK;
}

static mega_status read_in_pieces(struct written *w, const struct mega_document_layout *layout,
    const uint8_t *data, size_t size, size_t piece)
{
    struct mega_document_reader r = {
        .name = "fuzz", .layout = layout, .sink = { take, end, w }, .blank = true
    };
    mega_status status = MEGA_OK;
    for (size_t i = 0; i < size && !status; i += piece)
        status = mega_document_piece(
            &r, (const char *)data + i, size - i < piece ? size - i : piece);
    if (!status) status = mega_document_piece(&r, NULL, 0);
    mega_document_reader_done(&r);
    return status;
}

/* the first byte is the format, the second the size of pieces: documents do not depend on it */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct mega_document_layout layout = {
        .format = (enum mega_corpus_format)(MEGA_CORPUS_FILE + data[0] % 5),
        .text_field = "text",
        .separator = "ab",
    };
    struct written whole = { 0 }, pieces = { 0 };
    size_t piece = (size_t)data[1] % 16 + 1;
    mega_status a = read_in_pieces(&whole, &layout, data + 2, size - 2, size),
                b = read_in_pieces(&pieces, &layout, data + 2, size - 2, piece);
    if (a != b || whole.all.size != pieces.all.size ||
        (whole.all.size && memcmp(whole.all.data, pieces.all.data, whole.all.size) != 0))
        abort();
    mega_text_done(&whole.all);
    mega_text_done(&whole.one);
    mega_text_done(&pieces.all);
    mega_text_done(&pieces.one);
    return 0;
}
