// Strings of JSON, 16 bytes at a time.
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>

// A bit for each of 16 bytes that needs a look in a string, the lowest for the first.
static inline uint32_t json_special(const uint8_t *bytes) {
    const __m128i block = _mm_loadu_si128((const __m128i *)bytes);
    // Of signed numbers, the controls and what is beyond ASCII are the lowest.
    const __m128i found = _mm_or_si128(
        _mm_cmplt_epi8(block, _mm_set1_epi8(0x20)),
        _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')), _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))));
    return (uint32_t)_mm_movemask_epi8(found);
}

// The same for line ends.
static inline uint32_t json_line_ends(const uint8_t *bytes) {
    const __m128i block = _mm_loadu_si128((const __m128i *)bytes);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(
        _mm_cmpeq_epi8(block, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(block, _mm_set1_epi8('\r'))));
}
#endif

// How many of `count` bytes a string of JSON has as they are, up to the first that needs a look: a quotation mark, a
// backslash, a control or a byte beyond ASCII.
static inline size_t json_plain(const uint8_t *bytes, size_t count) {
    size_t place = 0;
#if defined(__x86_64__)
    for (; count - place >= 16; place += 16) {
        const uint32_t found = json_special(bytes + place);
        if (found) return place + (size_t)__builtin_ctz(found);
    }
#endif
    for (; place < count; place++) {
        const uint8_t byte = bytes[place];
        if (byte < 0x20 || byte >= 0x80 || byte == '"' || byte == '\\') break;
    }
    return place;
}

// How many of `count` bytes there are before the first line end.
static inline size_t json_line(const uint8_t *bytes, size_t count) {
    size_t place = 0;
#if defined(__x86_64__)
    for (; count - place >= 16; place += 16) {
        const uint32_t found = json_line_ends(bytes + place);
        if (found) return place + (size_t)__builtin_ctz(found);
    }
#endif
    while (place < count && bytes[place] != '\n' && bytes[place] != '\r') place++;
    return place;
}
