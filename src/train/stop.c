#include "train/stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t received;

static void take(int signal)
{
    received = signal;
}

void mega_stop_listen(void)
{
    struct sigaction action = { .sa_handler = take, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

int mega_stop_signal(void)
{
    return received;
}

const char *mega_stop_name(int signal)
{
    switch (signal) {
    case SIGINT: return "SIGINT";
    case SIGTERM: return "SIGTERM";
    case SIGUSR1: return "SIGUSR1";
    default: return "a signal";
    }
}
