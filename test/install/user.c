#include <megac/megac.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    mega_context *context;
    mega_predictor *predictor;
    struct mega_prediction answer;
    if (argc != 3 || mega_context_new(&context, NULL) ||
        mega_predictor_open(&predictor, context, argv[1]) ||
        mega_predictor_ask(predictor, argv[2], strlen(argv[2]), &answer))
        return fprintf(stderr, "%s\n", mega_message()), 1;
    printf("%s %.3f\n", answer.label, answer.probability[answer.class_index]);
    mega_predictor_close(predictor);
    mega_context_free(context);
    return 0;
}
