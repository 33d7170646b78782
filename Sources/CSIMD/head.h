// Heads of HTTP, 16 bytes at a time.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Where the control characters (HTAB among them) of the first `count` bytes are, at most 64: a bit for each, the lowest for
// the first. `beyond` gets the bits of those beyond ASCII.
static inline uint64_t head_controls(const uint8_t *bytes, size_t count, uint64_t *beyond) {
    uint8_t last[64];
    if (count < 64) {
        memset(last, 'A', sizeof last);
        memcpy(last, bytes, count);
        bytes = last;
    }
    uint64_t controls = 0, high = 0;
#if defined(__x86_64__)
    const __m128i largest = _mm_set1_epi8(0x1F), delete = _mm_set1_epi8(0x7F);
    for (int part = 0; part < 4; part++) {
        const __m128i block = _mm_loadu_si128((const __m128i *)(bytes + 16 * part));
        const __m128i found = _mm_or_si128(
            _mm_cmpeq_epi8(_mm_min_epu8(block, largest), block), _mm_cmpeq_epi8(block, delete));
        controls |= (uint64_t)(uint32_t)_mm_movemask_epi8(found) << (16 * part);
        high |= (uint64_t)(uint32_t)_mm_movemask_epi8(block) << (16 * part);
    }
#else
    for (int place = 0; place < 64; place++) {
        controls |= (uint64_t)(bytes[place] < 0x20 || bytes[place] == 0x7F) << place;
        high |= (uint64_t)(bytes[place] >> 7) << place;
    }
#endif
    *beyond = high;
    return controls;
}

// How many of the first `count` bytes, at least 16 of which can be read, are letters, digits and hyphens up to the first
// other one; at most 16.
static inline size_t head_word(const uint8_t *bytes, size_t count) {
    size_t length = 0;
#if defined(__x86_64__)
    const __m128i block = _mm_loadu_si128((const __m128i *)bytes);
    // Moved so that what is looked for is the lowest of signed numbers.
    const __m128i letters = _mm_cmplt_epi8(
        _mm_add_epi8(_mm_or_si128(block, _mm_set1_epi8(0x20)), _mm_set1_epi8((char)(0x80 - 'a'))),
        _mm_set1_epi8((char)(0x80 + 26)));
    const __m128i digits = _mm_cmplt_epi8(
        _mm_add_epi8(block, _mm_set1_epi8((char)(0x80 - '0'))), _mm_set1_epi8((char)(0x80 + 10)));
    const __m128i found = _mm_or_si128(_mm_or_si128(letters, digits), _mm_cmpeq_epi8(block, _mm_set1_epi8('-')));
    const uint32_t others = ~(uint32_t)_mm_movemask_epi8(found);
    length = (size_t)__builtin_ctz(others | 0x10000);
#else
    while (length < 16) {
        const uint8_t byte = bytes[length], small = byte | 0x20;
        if (!((small >= 'a' && small <= 'z') || (byte >= '0' && byte <= '9') || byte == '-')) break;
        length++;
    }
#endif
    return length < count ? length : count;
}

// How many of the first `count` bytes are characters of Base64, without padding, up to the first other one.
static inline size_t head_base64(const uint8_t *bytes, size_t count) {
    size_t length = 0;
#if defined(__x86_64__)
    for (; count - length >= 16; length += 16) {
        const __m128i block = _mm_loadu_si128((const __m128i *)(bytes + length));
        const __m128i letters = _mm_cmplt_epi8(
            _mm_add_epi8(_mm_or_si128(block, _mm_set1_epi8(0x20)), _mm_set1_epi8((char)(0x80 - 'a'))),
            _mm_set1_epi8((char)(0x80 + 26)));
        // From the slash on, the digits follow.
        const __m128i digits = _mm_cmplt_epi8(
            _mm_add_epi8(block, _mm_set1_epi8((char)(0x80 - '/'))), _mm_set1_epi8((char)(0x80 + 11)));
        const __m128i found = _mm_or_si128(_mm_or_si128(letters, digits), _mm_cmpeq_epi8(block, _mm_set1_epi8('+')));
        const uint32_t others = ~(uint32_t)_mm_movemask_epi8(found) & 0xFFFF;
        if (others) return length + (size_t)__builtin_ctz(others);
    }
#endif
    for (; length < count; length++) {
        const uint8_t byte = bytes[length];
        const uint64_t set = byte < 0x40 ? 0x03FF880000000000u : byte < 0x80 ? 0x07FFFFFE07FFFFFEu : 0;
        if (!(set >> (byte & 63) & 1)) break;
    }
    return length;
}
