// What Glibc's Swift module leaves out. Declarations only: the logic stays in Swift.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <features.h>
// _GNU_SOURCE also renames a member of fd_set, and two modules may not define one type in two ways:
// this header is read as Glibc's Swift module reads it.
#undef __USE_XOPEN
#include <sys/select.h>
#define __USE_XOPEN 1
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/file.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

// Glibc's module holds <semaphore.h>, but not what the header shows to _GNU_SOURCE only.
#include <semaphore.h>
extern int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline);
