#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "train/stop.h"

extern char **environ;

/* bytes resident in a process, in 10^6; 0 if it is gone */
static double resident_mb(pid_t pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGE_SIZE) * 1e-6;
}

/* In a process group of its own, so that what it starts ends with it; with the signals as every
 * program expects them. */
static int spawn(pid_t *pid, char *const *argv, FILE *out, FILE *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGXFSZ);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigdefault(&attr, &usual);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, fileno(out), 1);
    posix_spawn_file_actions_adddup2(&files, fileno(err), 2);
    int error = posix_spawnp(pid, argv[0], &files, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return error;
}

/* why a running child must end now; MEGA_CHILD_DONE: it need not */
static enum mega_child_end verdict(
    pid_t pid, double start, const struct mega_child_limits *limits)
{
    if (mega_stop_signal()) return MEGA_CHILD_STOPPED;
    if (limits->seconds > 0 && mega_clock_s() - start > limits->seconds)
        return MEGA_CHILD_OVER_TIME;
    if (limits->memory_mb > 0 && resident_mb(pid) > limits->memory_mb)
        return MEGA_CHILD_OVER_MEMORY;
    return MEGA_CHILD_DONE;
}

static void wait_for(struct mega_child *c, pid_t pid, const struct mega_child_limits *limits)
{
    /* often enough to catch growing memory, rarely enough not to be measured */
    const struct timespec nap = { .tv_nsec = 10000000 };
    double start = mega_clock_s();
    int state = 0;
    struct rusage used = { 0 };
    while (wait4(pid, &state, WNOHANG, &used) == 0) {
        c->end = verdict(pid, start, limits);
        if (c->end != MEGA_CHILD_DONE) {
            kill(-pid, SIGKILL);
            while (wait4(pid, &state, 0, &used) < 0 && errno == EINTR) continue;
            break;
        }
        nanosleep(&nap, NULL);
    }
    c->seconds = mega_clock_s() - start;
    c->peak_mb = (double)used.ru_maxrss * 1024e-6;
    kill(-pid, SIGKILL); /* what it started and left behind */
    c->code = WIFSIGNALED(state) ? WTERMSIG(state) : WEXITSTATUS(state);
    if (c->end != MEGA_CHILD_DONE) return;
    c->end = WIFSIGNALED(state) ? MEGA_CHILD_CRASHED
             : c->code          ? MEGA_CHILD_FAILED
                                : MEGA_CHILD_DONE;
}

static void keep(struct mega_text *to, FILE *from)
{
    char piece[4096];
    size_t n;
    rewind(from);
    while ((n = fread(piece, 1, sizeof piece, from)) > 0) mega_text_add_bytes(to, piece, n);
}

mega_status mega_child_run(
    struct mega_child *c, char *const *argv, const struct mega_child_limits *limits)
{
    *c = (struct mega_child){ 0 };
    FILE *out = tmpfile(), *err = tmpfile();
    mega_status status = MEGA_OK;
    pid_t pid;
    int error = out && err ? spawn(&pid, argv, out, err) : errno;
    if (error) {
        errno = error;
        status = mega_fail_errno("start", argv[0]);
    } else {
        wait_for(c, pid, limits);
        keep(&c->out, out);
        keep(&c->err, err);
    }
    if (out) fclose(out);
    if (err) fclose(err);
    return status;
}

void mega_child_done(struct mega_child *c)
{
    mega_text_done(&c->out);
    mega_text_done(&c->err);
}

const char *mega_text_last_line(struct mega_text *t)
{
    if (!t->data) return "";
    size_t end = t->size;
    while (end > 0 && strchr("\r\n\t ", t->data[end - 1])) end--;
    t->data[end] = 0;
    const char *newline = memrchr(t->data, '\n', end);
    return newline ? newline + 1 : t->data;
}
