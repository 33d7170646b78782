// SHA-1 (RFC 3174), unrolled: the words are in registers, and what is known of a block before is computed by the compiler.
#pragma once
#include <stdint.h>
#include <string.h>

#define SHA1_ROTATE(word, count) ((word) << (count) | (word) >> (32 - (count)))
// The word of a step: of the block, or made of earlier ones.
#define SHA1_WORD(t) \
    ((t) < 16 ? w[t] \
              : (w[(t) & 15] = SHA1_ROTATE(w[((t) + 13) & 15] ^ w[((t) + 8) & 15] ^ w[((t) + 2) & 15] ^ w[(t) & 15], 1)))
#define SHA1_STEP(a, b, c, d, e, t, f, k) \
    e += SHA1_ROTATE(a, 5) + (f) + (k) + SHA1_WORD(t); \
    b = SHA1_ROTATE(b, 30);
#define SHA1_CHOICE(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define SHA1_PARITY(b, c, d) ((b) ^ (c) ^ (d))
#define SHA1_MAJORITY(b, c, d) (((b) & (c)) + ((d) & ((b) ^ (c))))
// Five steps, after which each word has its name again; then twenty.
#define SHA1_FIVE(t, f, k) \
    SHA1_STEP(a, b, c, d, e, (t), f(b, c, d), k) \
    SHA1_STEP(e, a, b, c, d, (t) + 1, f(a, b, c), k) \
    SHA1_STEP(d, e, a, b, c, (t) + 2, f(e, a, b), k) \
    SHA1_STEP(c, d, e, a, b, (t) + 3, f(d, e, a), k) \
    SHA1_STEP(b, c, d, e, a, (t) + 4, f(c, d, e), k)
#define SHA1_TWENTY(t, f, k) \
    SHA1_FIVE((t), f, k) SHA1_FIVE((t) + 5, f, k) SHA1_FIVE((t) + 10, f, k) SHA1_FIVE((t) + 15, f, k)

// One block, given as 16 words.
static inline __attribute__((always_inline)) void sha1_mix(uint32_t state[5], uint32_t w[16]) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    SHA1_TWENTY(0, SHA1_CHOICE, 0x5A827999u)
    SHA1_TWENTY(20, SHA1_PARITY, 0x6ED9EBA1u)
    SHA1_TWENTY(40, SHA1_MAJORITY, 0x8F1BBCDCu)
    SHA1_TWENTY(60, SHA1_PARITY, 0xCA62C1D6u)
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

static inline __attribute__((always_inline)) uint32_t sha1_word(const uint8_t *bytes) {
    uint32_t word;
    memcpy(&word, bytes, 4);
    return __builtin_bswap32(word);
}

// One block of 64 bytes.
static inline void sha1_block(uint32_t state[5], const uint8_t *bytes) {
    uint32_t w[16];
    for (int place = 0; place < 16; place++) w[place] = sha1_word(bytes + 4 * place);
    sha1_mix(state, w);
}

// What a WebSocket's key of 24 characters is answered with, 20 bytes (RFC 6455 4.2.2): the second block of it is the same
// for all keys.
static inline void sha1_accept(const uint8_t key[24], uint8_t digest[20]) {
    uint32_t state[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
    uint32_t w[16];
    for (int place = 0; place < 6; place++) w[place] = sha1_word(key + 4 * place);
    // 258EAFA5-E914-47DA-95CA-C5AB0DC85B11, and the end of the message.
    static const char rest[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11\x80\0\0";
    for (int place = 6; place < 16; place++) w[place] = sha1_word((const uint8_t *)rest + 4 * (place - 6));
    sha1_mix(state, w);
    uint32_t last[16] = {0};
    last[15] = 60 * 8;
    sha1_mix(state, last);
    for (int place = 0; place < 5; place++) {
        const uint32_t word = __builtin_bswap32(state[place]);
        memcpy(digest + 4 * place, &word, 4);
    }
}
