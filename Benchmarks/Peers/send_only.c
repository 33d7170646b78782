// The limit to compare with: a WebSocket server that does nothing but one send for each subscriber and turn.
//
// Every frame of a client goes to all others, unmasked. No limits, no checks, no topics, no backlog: a client that does not read
// everything it is sent is dropped. Usage: send_only PORT [ring]; with `ring` the sends of a turn go out by io_uring.
//
// SIGUSR1: sends an empty PING to all. SIGUSR2: resets all.
#define _GNU_SOURCE
#include "ring.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { MAXIMUM = 65536, SPACE = 1 << 20 };
static int connections[MAXIMUM], places[MAXIMUM], count;
static char is_open[MAXIMUM];
static unsigned char input[SPACE], output[SPACE];

static void drop(int fd) {
    int place = places[fd], last = connections[--count];
    connections[place] = last;
    places[last] = place;
    close(fd);
}

static int has_ring;

static void flush_ring(void) {
    ring_enter(ring.queued);
    while (ring_answer()) ring_done();
}

static void send_all(const void *bytes, size_t length, int but) {
    for (int other = 0; other < count; other++) {
        if (connections[other] == but) continue;
        if (!has_ring) {
            send(connections[other], bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
            continue;
        }
        ring_send(connections[other], bytes, length, 0);
        if (ring.queued == RING) flush_ring();
    }
    if (has_ring && ring.queued) flush_ring();
}

static void reset_all(void) {
    while (count) {
        int fd = connections[count - 1];
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        drop(fd);
    }
}

static volatile sig_atomic_t asked;
static void ask(int signal) { asked = signal; }

// Unmasks the frames in `bytes` and puts them into `output` as a server's; returns their length.
static size_t reframe(unsigned char *bytes, size_t length) {
    size_t in = 0, out = 0;
    while (in + 6 <= length) {
        size_t head = 2, payload = bytes[in + 1] & 127;
        if (payload == 126) payload = (size_t)bytes[in + 2] << 8 | bytes[in + 3], head = 4;
        if (payload == 127) return 0;
        if (in + head + 4 + payload > length) break;
        memcpy(output + out, bytes + in, head);
        output[out + 1] &= 127;
        out += head;
        uint32_t key;
        memcpy(&key, bytes + in + head, 4);
        unsigned char *from = bytes + in + head + 4, *key_bytes = (unsigned char *)&key;
        for (size_t i = 0; i < payload; i++) output[out + i] = from[i] ^ key_bytes[i & 3];
        out += payload;
        in += head + 4 + payload;
    }
    return out;
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: send_only PORT [ring]\n"), 64;
    if ((has_ring = argc > 2)) ring_open(2 * RING);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = ask}, 0);
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = ask}, 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) return perror("listen"), 1;
    int epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    struct epoll_event events[512];
    for (;;) {
        int ready = epoll_wait(epoll, events, 512, -1);
        if (ready < 0 && errno == EINTR) {
            if (asked == SIGUSR1) send_all("\x89", 2, -1);
            if (asked == SIGUSR2) reset_all();
            asked = 0;
        }
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
                    is_open[fd] = 0;
                    places[fd] = count;
                    connections[count++] = fd;
                }
                continue;
            }
            ssize_t length = recv(fd, input, SPACE, 0);
            if (length <= 0) {
                drop(fd);
            } else if (!is_open[fd]) {
                is_open[fd] = 1;
                send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
            } else {
                size_t bytes = reframe(input, (size_t)length);
                if (bytes) send_all(output, bytes, fd);
            }
        }
    }
}
