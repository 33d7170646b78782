// A disk that can lose power, fail and fill up, for tests: preloaded into brokerd, it sits between the program and
// the files of one directory.
//
// Every write, sync and truncation of these files goes into a journal before it goes to the file, so that
// fragile_disk.py can say afterwards what a disk would hold on which only synced writes are sure to be. And a page of
// memory shared with the test says which calls are to fail, and by how much the clock is wrong.
//
//     FRAGILE_DIRECTORY   the directory whose files are meant, as the kernel names it
//     FRAGILE_JOURNAL     the journal's file; records are appended
//     FRAGILE_FAULTS      a file of 4096 bytes, see `struct faults`
//
// A record: kind (1 byte), file (1), zero (2), length (4), offset (8), then `length` bytes; little-endian.
//     F a file's name   W written   D written through O_DSYNC: begun   d the same: done   S synced   T truncated

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct faults {
    volatile int64_t failing_syncs;         // so many syncs fail with EIO
    volatile int64_t failing_dsync_writes;  // so many writes through O_DSYNC fail with EIO
    volatile int64_t disk_size;             // writes past this offset fail with ENOSPC; 0: they do not
    volatile int64_t failed;                // calls that were made to fail
    volatile int64_t clock_offset;          // seconds that the clock of the day is ahead
    volatile int64_t monotonic_offset;      // seconds that the clock of the process is ahead
};

enum { maximum_descriptors = 65536, maximum_files = 200 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[PATH_MAX];
static size_t directory_length;
static int journal = -1;
static struct faults *faults;
static char *names[maximum_files];
static int name_count;
// 0: not looked at; -1: none of ours; else the file's number and one.
static short files[maximum_descriptors];

static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off64_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_close)(int), (*real_ftruncate)(int, off64_t);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_close = dlsym(RTLD_NEXT, "close");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    const char *path = getenv("FRAGILE_DIRECTORY");
    if (path == NULL) return;
    directory_length = strlen(path);
    if (directory_length >= sizeof directory) abort();
    memcpy(directory, path, directory_length + 1);
    if ((path = getenv("FRAGILE_JOURNAL")) != NULL) {
        journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (journal < 0) abort();
    }
    if ((path = getenv("FRAGILE_FAULTS")) != NULL) {
        int file = open(path, O_RDWR | O_CLOEXEC);
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (page == MAP_FAILED) abort();
        faults = page;
    }
}

static void record(char kind, int file, off64_t offset, const struct iovec *parts, int count, size_t length) {
    if (journal < 0) return;
    unsigned char head[16] = {(unsigned char)kind, (unsigned char)file};
    uint32_t length32 = (uint32_t)length;
    uint64_t offset64 = (uint64_t)offset;
    memcpy(head + 4, &length32, 4);
    memcpy(head + 8, &offset64, 8);
    size_t total = sizeof head + length;
    char *whole = malloc(total);
    memcpy(whole, head, sizeof head);
    size_t filled = sizeof head;
    for (int i = 0; i < count && filled < total; i++) {
        size_t part = parts[i].iov_len < total - filled ? parts[i].iov_len : total - filled;
        memcpy(whole + filled, parts[i].iov_base, part);
        filled += part;
    }
    if (real_write(journal, whole, total) != (ssize_t)total) abort();
    free(whole);
}

// The file's number, or -1.
static int file_of(int descriptor) {
    if (directory_length == 0 || descriptor < 0 || descriptor >= maximum_descriptors) return -1;
    if (files[descriptor] != 0) return files[descriptor] < 0 ? -1 : files[descriptor] - 1;
    char link[64], path[PATH_MAX];
    strcpy(link, "/proc/self/fd/");
    char digits[16];
    int count = 0;
    for (int rest = descriptor; rest > 0 || count == 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    for (int i = 0; i < count; i++) link[14 + i] = digits[count - 1 - i];
    link[14 + count] = 0;
    ssize_t length = readlink(link, path, sizeof path - 1);
    struct stat status;
    if (length <= 0 || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)
        || (size_t)length <= directory_length || memcmp(path, directory, directory_length) != 0
        || path[directory_length] != '/') {
        files[descriptor] = -1;
        return -1;
    }
    path[length] = 0;
    int number = 0;
    while (number < name_count && strcmp(names[number], path) != 0) number++;
    if (number == name_count) {
        if (name_count == maximum_files) abort();
        names[name_count++] = strdup(path);
        struct iovec name = {path, (size_t)length};
        record('F', number, 0, &name, 1, (size_t)length);
    }
    files[descriptor] = (short)(number + 1);
    return number;
}

static int fails(volatile int64_t *count) {
    if (faults == NULL || *count <= 0) return 0;
    *count -= 1;
    faults->failed += 1;
    errno = EIO;
    return 1;
}

// Writes at `offset`, or where the descriptor is (`offset` < 0).
static ssize_t put(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    pthread_mutex_lock(&lock);
    int file = file_of(descriptor);
    pthread_mutex_unlock(&lock);
    if (file < 0) {
        if (offset >= 0) return real_pwritev(descriptor, parts, count, offset);
        return real_writev(descriptor, parts, count);
    }
    size_t length = 0;
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    pthread_mutex_lock(&lock);
    off64_t begin = offset >= 0 ? offset : lseek64(descriptor, 0, SEEK_CUR);
    int flags = fcntl(descriptor, F_GETFL);
    if (offset < 0 && (flags & O_APPEND)) begin = lseek64(descriptor, 0, SEEK_END);
    int is_synced = (flags & O_DSYNC) != 0;
    ssize_t result = -1;
    if (is_synced && fails(&faults->failing_dsync_writes)) {
    } else if (faults != NULL && faults->disk_size > 0 && begin + (off64_t)length > faults->disk_size) {
        faults->failed += 1;
        errno = ENOSPC;
    } else {
        record(is_synced ? 'D' : 'W', file, begin, parts, count, length);
        if (offset >= 0) result = real_pwritev(descriptor, parts, count, offset);
        else result = real_writev(descriptor, parts, count);
        if (is_synced && result == (ssize_t)length) record('d', file, begin, NULL, 0, 0);
    }
    int code = errno;
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    struct iovec part = {(void *)bytes, length};
    return put(descriptor, &part, 1, offset);
}
ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
    return pwrite64(descriptor, bytes, length, offset);
}
ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    return put(descriptor, parts, count, offset);
}
ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    return put(descriptor, parts, count, offset);
}
ssize_t writev(int descriptor, const struct iovec *parts, int count) { return put(descriptor, parts, count, -1); }
ssize_t write(int descriptor, const void *bytes, size_t length) {
    struct iovec part = {(void *)bytes, length};
    return put(descriptor, &part, 1, -1);
}

static int synchronise(int descriptor, int (*real)(int)) {
    pthread_mutex_lock(&lock);
    int file = file_of(descriptor);
    pthread_mutex_unlock(&lock);
    if (file < 0) return real(descriptor);
    pthread_mutex_lock(&lock);
    int result = fails(&faults->failing_syncs) ? -1 : real(descriptor);
    int code = errno;
    if (result == 0) record('S', file, 0, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}

int fsync(int descriptor) { return synchronise(descriptor, real_fsync); }
int fdatasync(int descriptor) { return synchronise(descriptor, real_fdatasync); }

int ftruncate64(int descriptor, off64_t length) {
    pthread_mutex_lock(&lock);
    int file = file_of(descriptor);
    if (file >= 0) record('T', file, length, NULL, 0, 0);
    int result = real_ftruncate(descriptor, length);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

int close(int descriptor) {
    if (descriptor >= 0 && descriptor < maximum_descriptors) files[descriptor] = 0;
    return real_close(descriptor);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (real_clock_gettime == NULL) real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock_gettime(clock, time);
    if (result != 0 || faults == NULL) return result;
    if (clock == CLOCK_REALTIME) time->tv_sec += faults->clock_offset;
    if (clock == CLOCK_MONOTONIC) time->tv_sec += faults->monotonic_offset;
    return result;
}

// OpenSSL's clock of the day.
time_t time(time_t *result) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    if (result != NULL) *result = now.tv_sec;
    return now.tv_sec;
}

// Redis's clock of the day.
int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return 0;
}
