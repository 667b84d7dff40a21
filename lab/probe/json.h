/* One JSON object per line, built in memory and written with one write(2).
 *
 * A string that is valid UTF-8 is kept as it is (with JSON's own escapes). A string that is not is written as Latin-1:
 * every byte from 0x80 up becomes \u00XX, so each character stands for one byte, and the string's JSON pointer is
 * listed under the line's key "latin1". A line never grows beyond LINE_BYTES: long strings and lists are cut, and the
 * line then says "cut":true.
 */
#ifndef PERMLAB_JSON_H
#define PERMLAB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LINE_BYTES = 65535,  /* the longest line, its newline included */
    LIST_BYTES = 49152,  /* a list stops growing when the line has come this far */
    STRING_BYTES = 8192, /* the longest string, after escaping */
    TEXT_BYTES = 16384,  /* the same for contents of files and output of programs */
    POINTER_BYTES = 8000,
    LEVELS = 8,
};

struct json_level {
    const char *key; /* null inside an array */
    unsigned index;
    bool array;
};

struct json_mark {
    size_t used, pointers;
    unsigned index;
};

struct json {
    char bytes[LINE_BYTES];
    size_t used;
    char pointers[POINTER_BYTES]; /* the finished items of the list "latin1" */
    size_t pointers_used;
    struct json_level levels[LEVELS];
    int depth;
    size_t list_limit;
    bool cut;
};

void json_begin(struct json *j);
/* Closes the line; returns its length, newline included. */
size_t json_end(struct json *j);

/* The key is null for an item of an array. */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_close(struct json *j);
void json_null(struct json *j, const char *key);
void json_bool(struct json *j, const char *key, bool value);
void json_int(struct json *j, const char *key, long long value);
void json_uint(struct json *j, const char *key, unsigned long long value);
void json_hex(struct json *j, const char *key, uint64_t value);
void json_octal(struct json *j, const char *key, unsigned value);
void json_string(struct json *j, const char *key, const char *value); /* null becomes JSON's null */
void json_bytes(struct json *j, const char *key, const char *bytes, size_t length);
void json_text(struct json *j, const char *key, const char *bytes, size_t length); /* up to TEXT_BYTES */

/* An item of a list is kept only when it fits: take a mark before it, and stop the list when it does not settle. */
struct json_mark json_mark(const struct json *j);
bool json_settle(struct json *j, struct json_mark mark);

#endif
