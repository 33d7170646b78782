// Masks and unmasks the payloads of WebSocket frames, 16 bytes at a time (RFC 6455 §5.3).
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

// The key for what is `count` bytes further on.
static inline uint32_t mask_turned(uint32_t key, size_t count) {
    const uint32_t shift = (uint32_t)(count & 3) * 8;
    return key >> shift | key << ((32 - shift) & 31);
}
#endif

// Masks `count` bytes, which a second time unmasks them; the key's first byte is in its lowest 8 bits.
//
// Returns whether one of the results is beyond ASCII. Always inlined: by itself it would be compiled for size.
static inline __attribute__((always_inline)) int mask_apply(uint8_t *bytes, size_t count, uint32_t key) {
#if defined(__x86_64__)
    // The last piece ends with the payload, so it is read before the one that it overlaps is written.
    if (count >= 16) {
        const size_t from = count - 16;
        const __m128i keys = _mm_set1_epi32((int)key);
        const __m128i last = _mm_xor_si128(
            _mm_loadu_si128((const __m128i *)(bytes + from)), _mm_set1_epi32((int)mask_turned(key, from)));
        __m128i seen = last;
        size_t place = 0;
        for (; place + 64 <= from; place += 64) {
            __m128i *const blocks = (__m128i *)(bytes + place);
            const __m128i first = _mm_xor_si128(_mm_loadu_si128(blocks), keys);
            const __m128i second = _mm_xor_si128(_mm_loadu_si128(blocks + 1), keys);
            const __m128i third = _mm_xor_si128(_mm_loadu_si128(blocks + 2), keys);
            const __m128i fourth = _mm_xor_si128(_mm_loadu_si128(blocks + 3), keys);
            _mm_storeu_si128(blocks, first);
            _mm_storeu_si128(blocks + 1, second);
            _mm_storeu_si128(blocks + 2, third);
            _mm_storeu_si128(blocks + 3, fourth);
            seen = _mm_or_si128(_mm_or_si128(seen, _mm_or_si128(first, second)), _mm_or_si128(third, fourth));
        }
        for (; place < from; place += 16) {
            const __m128i block = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(bytes + place)), keys);
            _mm_storeu_si128((__m128i *)(bytes + place), block);
            seen = _mm_or_si128(seen, block);
        }
        _mm_storeu_si128((__m128i *)(bytes + from), last);
        return _mm_movemask_epi8(seen) != 0;
    }
    if (count >= 8) {
        const uint32_t turned = mask_turned(key, count - 8);
        uint64_t first, last;
        memcpy(&first, bytes, 8);
        memcpy(&last, bytes + count - 8, 8);
        first ^= (uint64_t)key << 32 | key;
        last ^= (uint64_t)turned << 32 | turned;
        memcpy(bytes, &first, 8);
        memcpy(bytes + count - 8, &last, 8);
        return ((first | last) & 0x8080808080808080u) != 0;
    }
#endif
    uint8_t seen = 0;
    for (size_t place = 0; place < count; place++) {
        bytes[place] ^= (uint8_t)(key >> (place & 3) * 8);
        seen |= bytes[place];
    }
    return seen >> 7;
}
