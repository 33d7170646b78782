// UTF-8, 32 bytes at a time. It needs a table look-up for each byte at once, which Swift's vectors do not have.
//
// After J. Keiser and D. Lemire, "Validating UTF-8 in less than one instruction per byte" (2021). Three halves of two bytes
// that follow each other tell what is wrong with the pair: both of the first, and the upper one of the second. Each half
// has a table of the faults that it allows, one bit for each fault, and the pair has a fault where all three have its bit.
// The pairs cannot tell whether a continuation that follows another one is due: that is what the two bytes before say.
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>

enum {
    UTF8_TOO_SHORT = 1 << 0,        // no continuation follows a lead
    UTF8_TOO_LONG = 1 << 1,         // a continuation follows ASCII
    UTF8_OVERLONG_3 = 1 << 2,       // E0 80 to E0 9F: below U+0800
    UTF8_TOO_LARGE = 1 << 3,        // F4 90 to F4 BF, F5 90 to FF BF: beyond U+10FFFF
    UTF8_SURROGATE = 1 << 4,        // ED A0 to ED BF: U+D800 to U+DFFF
    UTF8_OVERLONG_2 = 1 << 5,       // C0 and C1: below U+0080
    UTF8_OVERLONG_4 = 1 << 6,       // F0 80 to F0 8F: below U+10000
    UTF8_TOO_LARGE_8 = 1 << 6,      // F5 80 to FF 8F: the same bit, as the lower halves of the leads differ
    UTF8_TWO = 1 << 7,              // a continuation follows one: right only in sequences of three and four
    // These do not depend on the lower half of the first byte.
    UTF8_CARRY = UTF8_TOO_SHORT | UTF8_TOO_LONG | UTF8_TWO,
};

// By the upper half of the first byte of a pair.
static const uint8_t utf8_first_upper[16] = {
    UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG,
    UTF8_TWO, UTF8_TWO, UTF8_TWO, UTF8_TWO,
    UTF8_TOO_SHORT | UTF8_OVERLONG_2,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT | UTF8_OVERLONG_3 | UTF8_SURROGATE,
    UTF8_TOO_SHORT | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8 | UTF8_OVERLONG_4,
};

// By the lower half of the first byte.
static const uint8_t utf8_first_lower[16] = {
    UTF8_CARRY | UTF8_OVERLONG_2 | UTF8_OVERLONG_3 | UTF8_OVERLONG_4,
    UTF8_CARRY | UTF8_OVERLONG_2,
    UTF8_CARRY, UTF8_CARRY,
    UTF8_CARRY | UTF8_TOO_LARGE,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8, UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8, UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8, UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8, UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8 | UTF8_SURROGATE,
    UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8, UTF8_CARRY | UTF8_TOO_LARGE | UTF8_TOO_LARGE_8,
};

// By the upper half of the second byte.
static const uint8_t utf8_second_upper[16] = {
    UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT,
    UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT,
    UTF8_TOO_LONG | UTF8_TWO | UTF8_OVERLONG_2 | UTF8_OVERLONG_3 | UTF8_OVERLONG_4 | UTF8_TOO_LARGE_8,
    UTF8_TOO_LONG | UTF8_TWO | UTF8_OVERLONG_2 | UTF8_OVERLONG_3 | UTF8_TOO_LARGE,
    UTF8_TOO_LONG | UTF8_TWO | UTF8_OVERLONG_2 | UTF8_SURROGATE | UTF8_TOO_LARGE,
    UTF8_TOO_LONG | UTF8_TWO | UTF8_OVERLONG_2 | UTF8_SURROGATE | UTF8_TOO_LARGE,
    UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT,
};

// Whether 32 bytes that follow `before` have no fault, but for a last sequence that may not have ended.
__attribute__((target("avx2"), always_inline)) static inline int utf8_is_sound(__m256i bytes, __m256i before) {
    const __m256i first_upper = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)utf8_first_upper));
    const __m256i first_lower = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)utf8_first_lower));
    const __m256i second_upper = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)utf8_second_upper));
    const __m256i half = _mm256_set1_epi8(0x0F);
    // Each place has the byte 1, 2 and 3 places before it.
    const __m256i joined = _mm256_permute2x128_si256(before, bytes, 0x21);
    const __m256i one = _mm256_alignr_epi8(bytes, joined, 15);
    const __m256i two = _mm256_alignr_epi8(bytes, joined, 14);
    const __m256i three = _mm256_alignr_epi8(bytes, joined, 13);
    const __m256i faults = _mm256_and_si256(
        _mm256_and_si256(
            _mm256_shuffle_epi8(first_upper, _mm256_and_si256(_mm256_srli_epi16(one, 4), half)),
            _mm256_shuffle_epi8(first_lower, _mm256_and_si256(one, half))),
        _mm256_shuffle_epi8(second_upper, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)));
    // From E0 on a lead has a second continuation, from F0 on a third: there, and only there, is UTF8_TWO right.
    const __m256i due = _mm256_or_si256(
        _mm256_subs_epu8(two, _mm256_set1_epi8(0xE0 - 0x80)), _mm256_subs_epu8(three, _mm256_set1_epi8((char)(0xF0 - 0x80))));
    const __m256i wrong = _mm256_xor_si256(faults, _mm256_and_si256(due, _mm256_set1_epi8((char)UTF8_TWO)));
    return _mm256_testz_si256(wrong, wrong);
}

// How many of `count` bytes end with a whole sequence, where those before the last sequence are valid.
static inline size_t utf8_whole(const uint8_t *bytes, size_t count) {
    if (count >= 1 && bytes[count - 1] >= 0xC0) return count - 1;
    if (count >= 2 && bytes[count - 2] >= 0xE0) return count - 2;
    if (count >= 3 && bytes[count - 3] >= 0xF0) return count - 3;
    return count;
}

__attribute__((target("avx2"))) static inline size_t utf8_sound_by_avx2(const uint8_t *bytes, size_t count) {
    const size_t end = utf8_whole(bytes, count);
    __m256i before = _mm256_setzero_si256();
    size_t done = 0;
    while (end - done >= 32) {
        const __m256i block = _mm256_loadu_si256((const __m256i *)(bytes + done));
        // ASCII is right unless a sequence is due.
        const int is_sound = _mm256_movemask_epi8(_mm256_or_si256(block, before)) == 0 || utf8_is_sound(block, before);
        if (!is_sound) return utf8_whole(bytes, done);
        before = block;
        done += 32;
    }
    // Nothing has looked at what follows the last block: a sequence that it does not end is the caller's.
    if (done == end) return utf8_whole(bytes, end);
    uint8_t last[32] = {0};
    __builtin_memcpy(last, bytes + done, end - done);
    return utf8_is_sound(_mm256_loadu_si256((const __m256i *)last), before) ? end : utf8_whole(bytes, done);
}

// How many of `count` bytes, which begin with a character, are certainly valid UTF-8 and end with a whole character.
//
// Fewer than there are where a fault follows, and none on a machine without the instructions: look at the rest byte by byte.
static inline size_t utf8_sound(const uint8_t *bytes, size_t count) {
    return __builtin_cpu_supports("avx2") ? utf8_sound_by_avx2(bytes, count) : 0;
}
#else
static inline size_t utf8_sound(const uint8_t *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return 0;
}
#endif
