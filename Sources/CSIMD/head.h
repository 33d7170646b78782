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

#if defined(__x86_64__)
// A bit for each of 16 bytes that is no character of Base64.
static inline uint32_t head_no_base64(const uint8_t *bytes) {
    const __m128i block = _mm_loadu_si128((const __m128i *)bytes);
    const __m128i letters = _mm_cmplt_epi8(
        _mm_add_epi8(_mm_or_si128(block, _mm_set1_epi8(0x20)), _mm_set1_epi8((char)(0x80 - 'a'))),
        _mm_set1_epi8((char)(0x80 + 26)));
    // From the slash on, the digits follow.
    const __m128i digits = _mm_cmplt_epi8(
        _mm_add_epi8(block, _mm_set1_epi8((char)(0x80 - '/'))), _mm_set1_epi8((char)(0x80 + 11)));
    const __m128i found = _mm_or_si128(_mm_or_si128(letters, digits), _mm_cmpeq_epi8(block, _mm_set1_epi8('+')));
    return ~(uint32_t)_mm_movemask_epi8(found) & 0xFFFF;
}
#endif

// How many of the first `count` bytes are characters of Base64, without padding, up to the first other one.
static inline size_t head_base64(const uint8_t *bytes, size_t count) {
    size_t length = 0;
#if defined(__x86_64__)
    if (count >= 16) {
        for (; length < count; length += 16) {
            // The last 16 end with the text.
            if (count - length < 16) length = count - 16;
            const uint32_t others = head_no_base64(bytes + length);
            if (others) return length + (size_t)__builtin_ctz(others);
        }
        return count;
    }
#endif
    for (; length < count; length++) {
        const uint8_t byte = bytes[length];
        const uint64_t set = byte < 0x40 ? 0x03FF880000000000u : byte < 0x80 ? 0x07FFFFFE07FFFFFEu : 0;
        if (!(set >> (byte & 63) & 1)) break;
    }
    return length;
}

// A bit for each of the first `count` bytes, at most 64, that is a control character (HTAB among them) or beyond ASCII.
static inline uint64_t head_unusual(const uint8_t *bytes, size_t count) {
#if defined(__x86_64__)
    uint8_t last[64];
    if (count < 64) {
        memset(last, 'A', sizeof last);
        memcpy(last, bytes, count);
        bytes = last;
    }
    // One more makes DEL the lowest of signed numbers. What is beyond ASCII is below zero already, but 0xFF is zero then.
    const __m128i one = _mm_set1_epi8(1), limit = _mm_set1_epi8(0x21);
    uint64_t found = 0;
    for (int part = 0; part < 4; part++) {
        const __m128i block = _mm_add_epi8(_mm_loadu_si128((const __m128i *)(bytes + 16 * part)), one);
        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmplt_epi8(block, limit)) << (16 * part);
    }
    return found;
#else
    uint64_t beyond;
    const uint64_t controls = head_controls(bytes, count, &beyond);
    return controls | beyond;
#endif
}

// What became of the search for a head.
enum head_outcome { head_whole, head_partial, head_faulty };

// Looks for the head that begins at `start` of the first `limit` bytes: lines that end with CRLF, without a control character
// but HTAB, of which the empty one is the last.
//
// Says where the lines before that end, as far as `ends` has room, and how many those are. `place` is where a whole head
// ends, where the last line of a partial one begins, or where the fault is. `is_ascii` is for what is before that.
static inline enum head_outcome head_lines(
    const uint8_t *bytes, size_t start, size_t limit, uint32_t *ends, size_t room, size_t *count, size_t *place,
    uint8_t *is_ascii) {
    size_t line = start, found = 0;
    uint8_t is_plain = 1;
    enum head_outcome outcome = head_partial;
    for (size_t block = start; block < limit; block += 64) {
        uint64_t unusual = head_unusual(bytes + block, limit - block);
        // The other half of the CRLF that the block before ends with.
        unusual &= ~(uint64_t)(line > block);
        while (unusual) {
            const size_t index = block + (size_t)__builtin_ctzll(unusual);
            const uint8_t byte = bytes[index];
            unusual &= unusual - 1;
            if (byte != '\r') {
                if (byte == '\t') continue;
                if (byte < 0x80) goto fault;
                is_plain = 0;
                continue;
            }
            // It may be half of a CRLF.
            if (index + 1 == limit) goto done;
            if (bytes[index + 1] != '\n') {
            fault:
                line = index;
                outcome = head_faulty;
                goto done;
            }
            if (index == line) {
                line = index + 2;
                outcome = head_whole;
                goto done;
            }
            // The LF is the next, if it is in this block.
            unusual &= unusual - 1;
            if (found < room) ends[found++] = (uint32_t)index;
            line = index + 2;
        }
    }
done:
    *count = found;
    *place = line;
    *is_ascii = is_plain;
    return outcome;
}

// The names that are asked for most.
enum {
    head_authorization, head_connection, head_content_encoding, head_content_length, head_content_type, head_cookie,
    head_expect, head_host, head_origin, head_transfer_encoding, head_upgrade, head_websocket_extensions,
    head_websocket_key, head_websocket_protocol, head_websocket_version,
    // Any other.
    head_other
};

// A field line: where its name and its value are, and the length, the first and the last character of the name, in small
// letters.
struct head_field {
    uint32_t name_start, name_end, value_start, value_end, mark;
};

// What is known of all lines without a look at one.
struct head_index {
    // A bit for each mark.
    uint64_t marks;
    // Of each name that is asked for most, a byte: one more than the place of its first line, at most 255; 0 if it has none.
    uint8_t first[16];
    // A bit for each of these names that has several lines.
    uint32_t repeated;
    // A bit for the first letter of each line's name.
    uint32_t letters;
};

// What a table of lines begins with.
struct head_table {
    struct head_index index;
    // How many lines there are, and how many there is room for.
    uint32_t count, room;
};

// Where its parts are; that of a name is the byte at its number.
enum {
    head_at_marks = offsetof(struct head_table, index.marks),
    head_at_first = offsetof(struct head_table, index.first),
    head_at_repeated = offsetof(struct head_table, index.repeated),
    head_at_letters = offsetof(struct head_table, index.letters),
    head_at_count = offsetof(struct head_table, count),
    head_at_room = offsetof(struct head_table, room),
};

#define HEAD_MARK(count, first, last) ((uint32_t)(count) << 16 | (uint32_t)((first) | 0x20) << 8 | (uint32_t)((last) | 0x20))

// The bit of a mark.
#define HEAD_BIT(mark) ((uint64_t)1 << (((mark) * 0x9E3779B9u) >> 26))

// The mark of a name of so many bytes that begins and ends so.
static inline uint32_t head_mark(size_t count, uint8_t first, uint8_t last) { return HEAD_MARK(count, first, last); }

static inline uint64_t head_mark_bit(uint32_t mark) { return HEAD_BIT(mark); }

// The bit of a first letter, in upper or lower case.
static inline uint32_t head_letter_bit(uint32_t letter) { return (uint32_t)1 << (letter & 31); }

// The names that are asked for most, in small letters.
#define HEAD_NAMES(_) \
    _(head_authorization, "authorization", 'a', 'n') \
    _(head_connection, "connection", 'c', 'n') \
    _(head_content_encoding, "content-encoding", 'c', 'g') \
    _(head_content_length, "content-length", 'c', 'h') \
    _(head_content_type, "content-type", 'c', 'e') \
    _(head_cookie, "cookie", 'c', 'e') \
    _(head_expect, "expect", 'e', 't') \
    _(head_host, "host", 'h', 't') \
    _(head_origin, "origin", 'o', 'n') \
    _(head_transfer_encoding, "transfer-encoding", 't', 'g') \
    _(head_upgrade, "upgrade", 'u', 'e') \
    _(head_websocket_extensions, "sec-websocket-extensions", 's', 's') \
    _(head_websocket_key, "sec-websocket-key", 's', 'y') \
    _(head_websocket_protocol, "sec-websocket-protocol", 's', 'l') \
    _(head_websocket_version, "sec-websocket-version", 's', 'n')

#define HEAD_NAME_BIT(which, text, first, last) | HEAD_BIT(HEAD_MARK(sizeof text - 1, first, last))
#define HEAD_NAME_CASE(which, text, first, last) \
    case HEAD_MARK(sizeof text - 1, first, last): return head_says(name, text, sizeof text - 1) ? which : head_other;

// Whether `count` bytes of a name, at least 4, are those of `text` in small letters.
//
// What differs only in the bit of small letters is the same letter: of what is no letter, only control characters differ so
// from a hyphen, and there are none in a name.
static inline __attribute__((always_inline)) int head_says(const uint8_t *name, const char *text, size_t count) {
    if (count < 8) {
        uint32_t first, last, wanted_first, wanted_last;
        memcpy(&first, name, 4);
        memcpy(&last, name + count - 4, 4);
        memcpy(&wanted_first, text, 4);
        memcpy(&wanted_last, text + count - 4, 4);
        return (((first ^ wanted_first) | (last ^ wanted_last)) & ~0x20202020u) == 0;
    }
    for (size_t place = 0; place < count; place += 8) {
        uint64_t some, wanted;
        // The last eight end with the text.
        const size_t from = count - place < 8 ? count - 8 : place;
        memcpy(&some, name + from, 8);
        memcpy(&wanted, text + from, 8);
        if ((some ^ wanted) & ~0x2020202020202020u) return 0;
    }
    return 1;
}

// Which of the names that are asked for most a name of `count` bytes with this mark is.
static inline __attribute__((always_inline)) int head_name(const uint8_t *name, size_t count, uint32_t mark) {
    // A mark has only the last bits of the length.
    if (count > sizeof "sec-websocket-extensions" - 1) return head_other;
    switch (mark) { HEAD_NAMES(HEAD_NAME_CASE) default: return head_other; }
}

// Adds the line at a place, whose name is of `count` bytes with this mark.
static inline __attribute__((always_inline)) void head_add(
    struct head_index *index, const uint8_t *name, size_t count, uint32_t mark, size_t place) {
    const uint64_t bit = head_mark_bit(mark);
    index->marks |= bit;
    index->letters |= head_letter_bit(mark >> 8);
    if (!(bit & (0 HEAD_NAMES(HEAD_NAME_BIT)))) return;
    const int number = head_name(name, count, mark);
    if (number == head_other) return;
    uint8_t *first = &index->first[number];
    if (*first) {
        index->repeated |= (uint32_t)1 << number;
    } else {
        *first = (uint8_t)(place < 255 ? place + 1 : 255);
    }
}

// Reads `count` lines of a head, whose ends are known, into `fields`, up to the first that is not like most: a name of
// letters, digits and hyphens, a colon, a space, and a value that neither begins nor ends with white space. Returns how many.
//
// The first line is the first of `limit` bytes; `ends` counts from `start` bytes before it. All lines are of ASCII.
//
// Always inlined: by itself it would be compiled for size.
static inline __attribute__((always_inline)) size_t head_read_fields(
    const uint8_t *bytes, size_t limit, size_t start, const uint32_t *ends, size_t count, struct head_field *fields,
    struct head_index *index) {
    struct head_index known = *index;
    size_t line = 0, place = 0;
    for (; place < count; place++) {
        const size_t end = ends[place] - start;
        size_t colon = line, length;
        do {
            // Of the last bytes, no 16 can be read.
            if (limit - colon < 16) goto done;
            length = head_word(bytes + colon, 16);
            colon += length;
        } while (length == 16);
        // It is no farther than the CR, which is in no word; so a colon is before that, and something follows it.
        if (memcmp(bytes + colon, ": ", 2) != 0 || colon == line || colon + 2 >= end) break;
        if (bytes[colon + 2] <= ' ' || bytes[end - 1] <= ' ') break;
        const uint32_t mark = head_mark(colon - line, bytes[line], bytes[colon - 1]);
        fields[place].name_start = (uint32_t)line;
        fields[place].name_end = (uint32_t)colon;
        fields[place].value_start = (uint32_t)colon + 2;
        fields[place].value_end = (uint32_t)end;
        fields[place].mark = mark;
        head_add(&known, bytes + line, colon - line, mark, place);
        line = end + 2;
    }
done:
    *index = known;
    return place;
}

// Whether the first line with a name, of the table at `bytes`, has the value `text`, which is of small letters only; in upper
// or lower case.
static inline __attribute__((always_inline)) int head_value_says(
    const uint8_t *bytes, size_t text_start, int name, const char *text, size_t count) {
    struct head_field field;
    const size_t place = bytes[head_at_first + name] - 1u;
    memcpy(&field, bytes + sizeof(struct head_table) + place * sizeof field, sizeof field);
    return field.value_end - field.value_start == count && head_says(bytes + text_start + field.value_start, text, count);
}

// Whether a table, of more than no lines, has what a handshake of RFC 6455 needs, written as browsers do: Upgrade,
// Connection, the version and a key of 16 bytes, all of them once, and neither a body nor two origins. If not, it may be right
// all the same.
static inline int head_is_usual_handshake(const uint8_t *bytes) {
    struct head_table table;
    memcpy(&table, bytes, sizeof table);
    const uint8_t *first = table.index.first;
    if (first[head_transfer_encoding] | first[head_content_length]) return 0;
    const uint32_t once = (uint32_t)1 << head_upgrade | (uint32_t)1 << head_connection | (uint32_t)1 << head_websocket_version
        | (uint32_t)1 << head_websocket_key | (uint32_t)1 << head_origin;
    if (table.index.repeated & once) return 0;
    const int needed[] = {head_upgrade, head_connection, head_websocket_version, head_websocket_key};
    // A line beyond the 254th has no place of its own.
    for (int place = 0; place < 4; place++) {
        if (first[needed[place]] == 0 || first[needed[place]] == 255) return 0;
    }
    const size_t text = sizeof table + table.room * sizeof(struct head_field);
    if (!head_value_says(bytes, text, head_upgrade, "websocket", sizeof "websocket" - 1)) return 0;
    if (!head_value_says(bytes, text, head_connection, "upgrade", sizeof "upgrade" - 1)) return 0;
    struct head_field field;
    memcpy(&field, bytes + sizeof table + (first[head_websocket_version] - 1u) * sizeof field, sizeof field);
    if (field.value_end - field.value_start != 2 || memcmp(bytes + text + field.value_start, "13", 2) != 0) return 0;
    memcpy(&field, bytes + sizeof table + (first[head_websocket_key] - 1u) * sizeof field, sizeof field);
    const uint8_t *key = bytes + text + field.value_start;
    if (field.value_end - field.value_start != 24 || memcmp(key + 22, "==", 2) != 0) return 0;
    // The unused bits of the last character are zero.
    const uint8_t last = key[21];
    return head_base64(key, 22) == 22 && (last == 'A' || last == 'Q' || last == 'g' || last == 'w');
}
