// What Glibc's Swift module leaves out, and what has no other form in Swift. The logic stays in Swift.
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
#include <sys/syscall.h>
#include <unistd.h>
#include <fcntl.h>
#include <malloc.h>

// Glibc's module holds <semaphore.h>, but not what the header shows to _GNU_SOURCE only.
#include <semaphore.h>
extern int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline);

// The beginning of the kernel's `struct tcp_info` (<linux/tcp.h>, Linux 4.1 and later): Glibc's own ends before the counters.
struct tcp_information {
    unsigned char state, ca_state, retransmits, probes, backoff, options, window_scales, delivery;
    unsigned int rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets;
    unsigned int last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
    unsigned int pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering, rcv_rtt, rcv_space, total_retrans;
    unsigned long long pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
};

// `send` without being a point where a thread can be cancelled, which costs it more than the call itself.
// Returns how many bytes were taken, or an error's number below 0.
static inline long plain_send(int descriptor, const void *bytes, long count, int flags) {
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = flags;
    register long r8 __asm__("r8") = 0;
    register long r9 __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"((long)SYS_sendto), "D"((long)descriptor), "S"(bytes), "d"(count), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#else
    return syscall(SYS_sendto, descriptor, bytes, count, flags, (void *)0, 0);
#endif
}
