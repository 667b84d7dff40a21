/* Checks the arguments of steps, all of them before the first step runs. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"

static const char *const kind_names[] = {
    [PATH] = "PATH",     [TEXT] = "TEXT",     [NAME] = "NAME",   [NUMBER] = "NUMBER", [ID] = "ID",
    [COUNT] = "COUNT",   [MODE] = "MODE",     [SECONDS] = "SECONDS", [IDS] = "IDS",   [LIMIT] = "LIMIT",   [RLIMIT] = "RLIMIT",
    [OPEN] = "OPEN",     [ACCESS] = "ACCESS", [MOUNT] = "MOUNT", [SPACES] = "SPACES", [DEVICE] = "DEVICE",
    [COUNTED] = "WORDS PROGRAM ARGUMENT...",  [REST] = "PROGRAM ARGUMENT...",
};

const char *kind_name(enum kind kind)
{
    return kind_names[kind];
}

static bool all_digits(const char *text)
{
    size_t length = strspn(text, "0123456789");
    return length > 0 && length < 19 && text[length] == 0;
}

long long number_of(const char *text)
{
    return strtoll(text, NULL, 10);
}

unsigned octal_of(const char *text)
{
    return (unsigned)strtoul(text, NULL, 8);
}

double seconds_of(const char *text)
{
    return strtod(text, NULL);
}

static bool is_seconds(const char *text)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = text[whole] == '.' ? 1 + strspn(text + whole + 1, "0123456789") : 0;
    return whole > 0 && whole < 10 && fraction < 12 && text[whole + fraction] == 0;
}

static bool is_id(const char *text)
{
    return strcmp(text, "-1") == 0 || (all_digits(text) && number_of(text) <= UINT32_MAX);
}

static bool is_ids(const char *text)
{
    if (strcmp(text, "-") == 0)
        return true;
    for (;;) {
        size_t length = strcspn(text, ",");
        if (length == 0 || length > 10 || strspn(text, "0123456789") != length)
            return false;
        if (text[length] == 0)
            return true;
        text += length + 1;
    }
}

static bool fits(enum kind kind, const char *text)
{
    unsigned long flags;
    int number;
    switch (kind) {
    case NUMBER: return all_digits(text);
    case COUNT: return all_digits(text) && number_of(text) <= MOST_COUNTED;
    case ID: return is_id(text);
    case MODE: return strlen(text) > 0 && strlen(text) < 7 && strspn(text, "01234567") == strlen(text);
    case SECONDS: return is_seconds(text);
    case IDS: return is_ids(text);
    case LIMIT: return all_digits(text) || strcmp(text, "unlimited") == 0;
    case RLIMIT: return rlimit_number(text, &number);
    case DEVICE: return strlen(text) == 1 && strchr("bcpsf", text[0]) != NULL;
    case OPEN:
    case ACCESS:
    case MOUNT:
    case SPACES: return flags_of(kind, text, &flags);
    default: return true;
    }
}

int words_of(const struct step *step, char **words, int left, char *fault, size_t size)
{
    int used = 0;
    for (const enum kind *kind = step->kinds; *kind != END_OF_ARGUMENTS; kind++) {
        if (used >= left) {
            snprintf(fault, size, "step %s needs an argument %s", step->op, kind_name(*kind));
            return -1;
        }
        const char *word = words[used++];
        if (*kind == REST)
            return left;
        if (*kind == COUNTED) {
            if (!all_digits(word) || number_of(word) < 1 || number_of(word) > left - used) {
                snprintf(fault, size, "step %s needs a count of the words that follow, got %.200s", step->op, word);
                return -1;
            }
            return used + (int)number_of(word);
        }
        if (!fits(*kind, word)) {
            snprintf(fault, size, "step %s takes %s here, got %.200s", step->op, kind_name(*kind), word);
            return -1;
        }
    }
    return used;
}
