/* A disk that takes a while: LD_PRELOADed into a server, it makes every fdatasync longer by SLOW_DISK_MICROSECONDS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int fdatasync(int descriptor) {
    static int (*real)(int);
    static long microseconds;
    if (!real) {
        const char *setting = getenv("SLOW_DISK_MICROSECONDS");
        microseconds = setting ? atol(setting) : 0;
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&pause, NULL);
    return real(descriptor);
}
