#include "json.h"

#include <stdio.h>
#include <string.h>

static void put(struct json *j, const char *bytes, size_t length)
{
    if (length > sizeof j->bytes - j->used) {
        j->cut = true;
        return;
    }
    memcpy(j->bytes + j->used, bytes, length);
    j->used += length;
}

static void put_text(struct json *j, const char *text)
{
    put(j, text, strlen(text));
}

static void name(struct json *j, const char *key)
{
    struct json_level *level = &j->levels[j->depth];
    if (level->index++ > 0)
        put_text(j, ",");
    level->key = key;
    if (key != NULL) {
        put_text(j, "\"");
        put_text(j, key);
        put_text(j, "\":");
    }
}

static void descend(struct json *j, const char *key, bool array)
{
    name(j, key);
    j->depth++;
    j->levels[j->depth] = (struct json_level){.array = array};
    put_text(j, array ? "[" : "{");
}

/* Length of the UTF-8 sequence at the start of `s`, or 0 when the bytes are not one (RFC 3629). */
static size_t sequence(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : length;
}

static bool is_utf8(const unsigned char *s, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t step = sequence(s + i, length - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

/* Remember the JSON pointer (RFC 6901) of the value that was named last. */
static void note_latin1(struct json *j)
{
    char pointer[128] = "";
    size_t used = 0;
    for (int i = 0; i <= j->depth && used < sizeof pointer - 1; i++) {
        const struct json_level *level = &j->levels[i];
        int more = level->array ? snprintf(pointer + used, sizeof pointer - used, "/%u", level->index - 1)
                                : snprintf(pointer + used, sizeof pointer - used, "/%s", level->key);
        used += (size_t)more;
    }
    size_t room = sizeof j->pointers - j->pointers_used;
    int more = snprintf(j->pointers + j->pointers_used, room, "%s\"%s\"", j->pointers_used > 0 ? "," : "", pointer);
    if ((size_t)more < room)
        j->pointers_used += (size_t)more;
    else
        j->cut = true;
}

static size_t escape(char out[8], const unsigned char *s, size_t left, bool utf8)
{
    static const char plain[] = "\"\\\n\r\t";
    static const char letters[] = "\"\\nrt";
    const char *found = s[0] != 0 ? strchr(plain, s[0]) : NULL;
    if (found != NULL)
        return (size_t)snprintf(out, 8, "\\%c", letters[found - plain]);
    if (s[0] < 0x20 || s[0] == 0x7f || (s[0] >= 0x80 && !utf8))
        return (size_t)snprintf(out, 8, "\\u%04x", s[0]);
    size_t length = utf8 ? sequence(s, left) : 1;
    memcpy(out, s, length);
    return length;
}

static void quoted(struct json *j, const char *key, const char *bytes, size_t length, size_t limit)
{
    const unsigned char *s = (const unsigned char *)bytes;
    bool utf8 = is_utf8(s, length);
    name(j, key);
    if (!utf8)
        note_latin1(j);
    put_text(j, "\"");
    size_t start = j->used;
    for (size_t i = 0; i < length;) {
        char out[8];
        size_t more = escape(out, s + i, length - i, utf8);
        if (j->used - start + more > limit) {
            j->cut = true;
            break;
        }
        put(j, out, more);
        i += utf8 ? sequence(s + i, length - i) : 1;
    }
    put_text(j, "\"");
}

void json_begin(struct json *j)
{
    j->used = j->pointers_used = 0;
    j->depth = 0;
    j->levels[0] = (struct json_level){.array = false};
    j->list_limit = LIST_BYTES;
    j->cut = false;
    put_text(j, "{");
}

size_t json_end(struct json *j)
{
    if (j->pointers_used > 0) {
        name(j, "latin1");
        put_text(j, "[");
        put(j, j->pointers, j->pointers_used);
        put_text(j, "]");
    }
    if (j->cut)
        json_bool(j, "cut", true);
    put_text(j, "}\n");
    return j->used;
}

void json_object(struct json *j, const char *key)
{
    descend(j, key, false);
}

void json_array(struct json *j, const char *key)
{
    descend(j, key, true);
}

void json_close(struct json *j)
{
    put_text(j, j->levels[j->depth].array ? "]" : "}");
    j->depth--;
}

void json_null(struct json *j, const char *key)
{
    name(j, key);
    put_text(j, "null");
}

void json_bool(struct json *j, const char *key, bool value)
{
    name(j, key);
    put_text(j, value ? "true" : "false");
}

void json_int(struct json *j, const char *key, long long value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", value);
    name(j, key);
    put_text(j, text);
}

void json_uint(struct json *j, const char *key, unsigned long long value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", value);
    name(j, key);
    put_text(j, text);
}

void json_hex(struct json *j, const char *key, uint64_t value)
{
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)value);
    json_string(j, key, text);
}

void json_octal(struct json *j, const char *key, unsigned value)
{
    char text[16];
    snprintf(text, sizeof text, "%04o", value);
    json_string(j, key, text);
}

void json_string(struct json *j, const char *key, const char *value)
{
    if (value == NULL)
        json_null(j, key);
    else
        json_bytes(j, key, value, strlen(value));
}

void json_bytes(struct json *j, const char *key, const char *bytes, size_t length)
{
    quoted(j, key, bytes, length, STRING_BYTES);
}

void json_text(struct json *j, const char *key, const char *bytes, size_t length)
{
    quoted(j, key, bytes, length, TEXT_BYTES);
}

struct json_mark json_mark(const struct json *j)
{
    return (struct json_mark){j->used, j->pointers_used, j->levels[j->depth].index};
}

bool json_settle(struct json *j, struct json_mark mark)
{
    if (j->used <= j->list_limit && j->pointers_used <= sizeof j->pointers - 1024)
        return true;
    j->used = mark.used;
    j->pointers_used = mark.pointers;
    j->levels[j->depth].index = mark.index;
    j->cut = true;
    return false;
}
