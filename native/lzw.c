/* LZW as TIFF has it (TIFF 6.0, section 13): codes of 9 to 12 bits, the first bit of a byte being its highest.
 *
 * What a code stands for has been written before, but for one byte, all of it in one piece: a table of places and lengths in
 * the output is enough. */
#include "planes.h"

enum { CLEAR = 256, END, FIRST, CODES = 4096, SHORTEST = 9, LONGEST = 12 };

typedef struct {
    uint32_t at, length;
} Text;

enum { AT_ONCE = 8 /* bytes copied, of which those behind the text do not count */, REFILL = 32 /* bits */ };

size_t lzw_unpack(const uint8_t *data, size_t size, uint8_t *to, size_t room, Stop *stop) {
    uint8_t letters[CLEAR + AT_ONCE] = {0};
    Text table[CODES], last = {0, 0};
    size_t made = 0, read = 0;
    uint64_t bits = 0;
    int there = 0, width = SHORTEST, next = FIRST;
    for (int i = 0; i < CLEAR; i++) letters[i] = (uint8_t)i, table[i] = (Text){i, 1};
    while (made < room) {
        if (there < REFILL && read + 4 <= size) {
            uint32_t more = (uint32_t)data[read] << 24 | data[read + 1] << 16 | data[read + 2] << 8 | data[read + 3];
            bits = bits << REFILL | more, there += REFILL, read += 4;
        }
        while (there < width && read < size) bits = bits << 8 | data[read++], there += 8;
        if (there < width) return made;
        int code = bits >> (there - width) & ((1 << width) - 1), is_new = 0;
        there -= width;
        if (code == END) return made;
        if (code == CLEAR) {
            if (stopped(stop)) return made;
            width = SHORTEST, next = FIRST, last.length = 0;
            continue;
        }
        if (last.length && next < CODES) {
            is_new = code == next;
            table[next] = (Text){last.at, last.length + 1};  /* its last byte is the first of what comes now */
            if (++next == (1 << width) - 1 && width < LONGEST) width++;
        }
        if (code >= (last.length ? next : CLEAR)) return made;  /* the first stands for itself */
        Text text = table[code];
        if (text.length > room - made) text.length = (uint32_t)(room - made);
        const uint8_t *from = (code < CLEAR ? letters : to) + text.at;
        if (text.length <= AT_ONCE && room - made >= AT_ONCE) {
            uint64_t bytes;
            memcpy(&bytes, from, sizeof bytes);
            memcpy(to + made, &bytes, sizeof bytes);
            if (is_new) to[made + text.length - 1] = to[made];
        } else {
            for (uint32_t i = 0; i < text.length; i++) to[made + i] = from[i];
        }
        last = (Text){(uint32_t)made, text.length};
        made += text.length;
    }
    return made;
}
