/*
 * match.c: is a file of rung's what a row of the tool's table calls it?
 *
 * A name has been through convert.c on its way into a file's name: characters were
 * replaced, words put behind it.  Both sides are brought into that form, and compared.
 *
 * Pure: no file, no connection.
 */
#include "import.h"

#include <string.h>

const char *
title_key(struct keep *keep, const char *title)
{
    return keep_text(keep, (struct str){ title, strcspn(title, "_") });
}

/* As a title, but that what parts its words is an underscore.  Returns `buffer`. */
static const char *
plain_title(struct keep *keep, char buffer[TITLE_ROOM], const char *name)
{
    char *copy = keep_room(keep, strlen(name) + 1);

    for (size_t i = 0; copy != NULL && name[i] != '\0'; i++)
        copy[i] = name[i] == ' ' || name[i] == '-' ? '_' : name[i];
    return convert_title(buffer, copy == NULL ? "" : copy, TITLE_ROOM);
}

bool
title_is(struct keep *keep, const char *title, const char *name)
{
    char ours[TITLE_ROOM], theirs[TITLE_ROOM];

    return name == NULL
           || str_eq_fold(str_of(plain_title(keep, ours, title)),
               str_of(plain_title(keep, theirs, name)));
}

struct wanted
want(const char *key, const char *name)
{
    struct wanted wanted = { .key = key, .name = name };

    convert_title(wanted.fit, key, TITLE_ROOM);
    wanted.number = key[0] != '\0' && key[strspn(key, "0123456789")] == '\0';
    return wanted;
}

bool
title_begins(const char *title, const struct wanted *wanted, const char **rest)
{
    struct str fit = str_of(wanted->fit);

    if (!str_starts(str_of(title), fit))
        return false;
    *rest = title + fit.n;
    if (**rest == '_')
        ++*rest;
    else if (**rest != '\0')
        return false;
    return true;
}
