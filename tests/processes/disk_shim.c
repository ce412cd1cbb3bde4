/* Preloaded into a node: while the file $STUCK_DISK exists, whatever waits for the disk does not return. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void wait_for_disk(void)
{
    const char *path = getenv("STUCK_DISK");
    while (path && access(path, F_OK) == 0)
        usleep(5000);
}

#define STUCK(name, result, parameters, arguments)                                        \
    result name parameters                                                                \
    {                                                                                     \
        static result(*original) parameters;                                              \
        if (!original)                                                                    \
            original = (result(*) parameters)dlsym(RTLD_NEXT, #name);                     \
        wait_for_disk();                                                                  \
        return original arguments;                                                        \
    }

STUCK(fdatasync, int, (int file), (file))
STUCK(fsync, int, (int file), (file))
STUCK(statvfs, int, (const char *path, struct statvfs *found), (path, found))
