#include "data/prefetch.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct mega_prefetch {
    mega_prefetch_fn *make;
    void *arg;
    int64_t first, end;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t made, taken; /* items finished; items handed out (the last one is in use) */
    bool stop;
    mega_status status; /* of item `made`, which ends the making */
    char message[1024];
};

static bool waits(const struct mega_prefetch *p)
{
    return p->made - p->taken >= MEGA_PREFETCH_SLOTS - 1 && !p->stop;
}

static void *work(void *arg)
{
    struct mega_prefetch *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stop && !p->status && (p->end < 0 || p->first + p->made < p->end)) {
        while (waits(p)) pthread_cond_wait(&p->changed, &p->lock);
        if (p->stop) break;
        int64_t item = p->made;
        pthread_mutex_unlock(&p->lock);
        mega_status status =
            p->make(p->arg, p->first + item, (int)(item % MEGA_PREFETCH_SLOTS));
        pthread_mutex_lock(&p->lock);
        if (status) {
            p->status = status;
            snprintf(p->message, sizeof p->message, "%s", mega_message());
        } else {
            p->made++;
        }
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

mega_status mega_prefetch_start(
    struct mega_prefetch **out, mega_prefetch_fn *make, void *arg, int64_t first, int64_t end)
{
    *out = NULL;
    struct mega_prefetch *p = calloc(1, sizeof *p);
    if (!p) return mega_fail(MEGA_NO_MEMORY, "no memory to read ahead");
    *p = (struct mega_prefetch){ .make = make, .arg = arg, .first = first, .end = end };
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    /* signals are for the main thread */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&p->thread, NULL, work, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(p);
        return mega_fail(MEGA_NO_MEMORY, "cannot start a thread to read ahead");
    }
    *out = p;
    return MEGA_OK;
}

mega_status mega_prefetch_next(struct mega_prefetch *p, int *slot)
{
    *slot = -1;
    pthread_mutex_lock(&p->lock);
    bool ends = p->end >= 0 && p->first + p->taken >= p->end;
    while (!ends && p->made <= p->taken && !p->status) pthread_cond_wait(&p->changed, &p->lock);
    mega_status status = MEGA_OK;
    if (!ends && p->made <= p->taken) {
        status = mega_fail(p->status, "%s", p->message);
    } else if (!ends) {
        *slot = (int)(p->taken % MEGA_PREFETCH_SLOTS);
        p->taken++;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return status;
}

void mega_prefetch_stop(struct mega_prefetch *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
    free(p);
}
