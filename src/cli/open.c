#include "cli/open.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

mega_status mega_open_context(mega_context **out, const struct mega_open *o)
{
    const char *log = getenv("MEGA_LOG");
    return mega_context_new(out, &(struct mega_context_options){
                                     .threads = (int)o->threads,
                                     .isa = *o->isa ? o->isa : NULL,
                                     .rooms = *o->rooms ? o->rooms : NULL,
                                     .log_dispatch = log && strstr(log, "dispatch"),
                                     .log = mega_command_log,
                                 });
}
