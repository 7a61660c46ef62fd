#include "kernel/onednn/gemm.h"

#include <dnnl.h>

/* for the case that oneDNN finds no memory for its packed copies */
static void plain(const char turn[2], int64_t m, int64_t n, int64_t k, struct mega_matrix a,
    struct mega_matrix b, struct mega_matrix c, bool add)
{
    int64_t a_row = turn[0] == 'T' ? 1 : a.stride, a_next = turn[0] == 'T' ? a.stride : 1;
    int64_t b_column = turn[1] == 'T' ? b.stride : 1, b_next = turn[1] == 'T' ? 1 : b.stride;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float *to = mega_matrix_row(c, i) + j, sum = add ? *to : 0;
            for (int64_t l = 0; l < k; l++)
                sum += a.at[i * a_row + l * a_next] * b.at[j * b_column + l * b_next];
            *to = sum;
        }
}

void mega_gemm(const char turn[2], int64_t m, int64_t n, int64_t k, struct mega_matrix a,
    struct mega_matrix b, struct mega_matrix c, bool add)
{
    if (!m || !n) return;
    if (dnnl_sgemm(
            turn[0], turn[1], m, n, k, 1, a.at, a.stride, b.at, b.stride, add, c.at, c.stride))
        plain(turn, m, n, k, a, b, c, add);
}
