/*
 * terminal.c: characters, colours, numbers and times, as people read them.
 *
 * Invariant: text that comes from outside (names, SQL, what a server says) is written
 * through here, so that no control character of it reaches a terminal, and no command
 * of it the service that runs a job and reads its log: these are shown as \xNN.
 *
 * Source: actions/runner, ActionCommand.cs (TryParseV2, TryParse); Azure Pipelines and
 * TeamCity, "logging commands", "service messages".
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* ---- characters ------------------------------------------------------------------ */

uint32_t
term_decode(const char *text, size_t *n)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *p = (const unsigned char *)text;
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    uint32_t code = length == 1 ? p[0] : p[0] & (0x7Fu >> length);

    *n = 1;
    if ((p[0] >= 0x80 && p[0] < 0xC2) || p[0] > 0xF4)
        return TERM_INVALID;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return TERM_INVALID;
        code = code << 6 | (p[i] & 0x3F);
    }
    if (code < smallest[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return TERM_INVALID;
    *n = length;
    return code;
}

struct range {
    uint32_t first, last;
};

static bool
is_in(uint32_t code, const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

/*
 * The columns of a character: enough for what people write SQL in.
 * Source: Unicode, EastAsianWidth.txt (W, F) and general categories Mn, Me, Cf.
 */
static int
width_of(uint32_t code)
{
    static const struct range none[] = { { 0x0300, 0x036F }, { 0x0483, 0x0489 },
        { 0x0591, 0x05BD }, { 0x0610, 0x061A }, { 0x064B, 0x065F }, { 0x0E31, 0x0E31 },
        { 0x0E34, 0x0E3A }, { 0x0E47, 0x0E4E }, { 0x093C, 0x093C }, { 0x0941, 0x0948 },
        { 0x094D, 0x094D }, { 0x1AB0, 0x1AFF }, { 0x1DC0, 0x1DFF }, { 0x200B, 0x200D },
        { 0x20D0, 0x20FF }, { 0x302A, 0x302D }, { 0x3099, 0x309A }, { 0xFE00, 0xFE0F },
        { 0xFE20, 0xFE2F }, { 0xFEFF, 0xFEFF }, { 0xE0100, 0xE01EF } };
    static const struct range wide[] = { { 0x1100, 0x115F }, { 0x231A, 0x231B },
        { 0x23E9, 0x23EC }, { 0x2614, 0x2615 }, { 0x2648, 0x2653 }, { 0x26A1, 0x26A1 },
        { 0x2705, 0x2705 }, { 0x274C, 0x274C }, { 0x2795, 0x2797 }, { 0x2B50, 0x2B50 },
        { 0x2E80, 0x303E }, { 0x3041, 0x33FF }, { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF },
        { 0xA000, 0xA4CF }, { 0xA960, 0xA97F }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF },
        { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 },
        { 0x16FE0, 0x18CFF }, { 0x1B000, 0x1B2FF }, { 0x1F300, 0x1F64F },
        { 0x1F680, 0x1F6FF }, { 0x1F7E0, 0x1F7EB }, { 0x1F900, 0x1F9FF },
        { 0x1FA70, 0x1FAFF }, { 0x20000, 0x3FFFD } };

    if (code < 0x0300)
        return 1;
    if (is_in(code, none, sizeof none / sizeof none[0]))
        return 0;
    return is_in(code, wide, sizeof wide / sizeof wide[0]) ? 2 : 1;
}

/* C0, DEL and C1, which a terminal obeys; and what turns the direction of writing. */
static bool
is_dangerous(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x200E
           || code == 0x200F || (code >= 0x2028 && code <= 0x202E)
           || (code >= 0x2066 && code <= 0x2069) || code == TERM_INVALID;
}

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * Does a command to the service that runs us begin here?  `##[group]` of GitHub and
 * Azure, `##vso[`, `##teamcity[`: they are looked for anywhere in a log's lines.
 */
static bool
is_service_command(const char *text)
{
    size_t n = 2;

    if (text[0] != '#' || text[1] != '#')
        return false;
    while (is_letter(text[n]))
        n++;
    return text[n] == '[';
}

/*
 * Where in a line a command of GitHub's second kind begins, `::name key=value::text`
 * with nothing but blanks in front of it; SIZE_MAX: there is none.
 */
static size_t
find_line_command(const char *line)
{
    size_t at = 0, n;

    while (line[at] == ' ' || line[at] == '\t' || (unsigned char)line[at] >= 0x80)
        at++;
    if (line[at] != ':' || line[at + 1] != ':')
        return SIZE_MAX;
    for (n = at + 2; is_letter(line[n]) || line[n] == '-';)
        n++;
    if (line[n] != ' ' && line[n] != ':')
        return SIZE_MAX;
    for (; line[n] != '\0' && line[n] != '\n'; n++)
        if (line[n] == ':' && line[n + 1] == ':')
            return at;
    return SIZE_MAX;
}

struct glyph
term_glyph(const char *text)
{
    struct glyph glyph = { 0 };
    uint32_t code;

    if (text[0] == '\0')
        return glyph;
    code = term_decode(text, &glyph.n);
    if (code == '\t') {
        glyph.width = 1;
        return glyph;
    }
    glyph.escaped = is_dangerous(code) || is_service_command(text);
    glyph.width = glyph.escaped ? 4 * (int)glyph.n : width_of(code);
    return glyph;
}

/* Of the bytes that `text` begins with, how many are a column each and no danger? */
static size_t
plain_run(const char *text)
{
    size_t n = 0;

    while (text[n] >= ' ' && text[n] <= '~' && text[n] != '#')
        n++;
    return n;
}

int
term_width(const char *text)
{
    size_t run = plain_run(text);
    int width = (int)run;
    struct glyph glyph;

    for (text += run; (glyph = term_glyph(text)).n > 0; text += glyph.n)
        width += glyph.width;
    return width;
}

/* ---- writing --------------------------------------------------------------------- */

void
term_put_glyph(FILE *f, const char *text, struct glyph glyph)
{
    if (!glyph.escaped)
        (void)fwrite(text, 1, glyph.n, f);
    else
        for (size_t i = 0; i < glyph.n; i++)
            (void)fprintf(f, "\\x%02x", (unsigned char)text[i]);
}

void
term_text(FILE *f, const char *text)
{
    size_t run = plain_run(text);
    struct glyph glyph;

    (void)fwrite(text, 1, run, f);
    for (text += run; (glyph = term_glyph(text)).n > 0; text += glyph.n)
        term_put_glyph(f, text, glyph);
}

/* What a server says may have several lines: those behind the first are indented. */
void
term_lines(FILE *f, const char *text)
{
    size_t n = strlen(text);
    const char *command = NULL; /* where a line holds one */

    while (n > 0 && text[n - 1] == '\n')
        n--;
    for (size_t at = 0; at < n;) {
        struct glyph glyph = term_glyph(text + at);

        glyph.escaped = glyph.escaped || text + at == command;
        if (text[at] == '\n') {
            size_t found = find_line_command(text + at + 1);

            command = found == SIZE_MAX ? NULL : text + at + 1 + found;
            (void)fputs("\n    ", f);
        } else {
            term_put_glyph(f, text + at, glyph);
        }
        at += glyph.n;
    }
}

void
term_line(FILE *f, const char *text)
{
    size_t command = find_line_command(text);

    for (size_t at = 0; text[at] != '\0';) {
        struct glyph glyph = term_glyph(text + at);

        glyph.escaped = glyph.escaped || at == command;
        term_put_glyph(f, text + at, glyph);
        at += glyph.n;
    }
}

/* Line feeds and tabs are a file's own. */
void
term_file(FILE *f, const char *text)
{
    struct glyph glyph;

    for (; (glyph = term_glyph(text)).n > 0; text += glyph.n) {
        if (text[0] == '\n')
            glyph.escaped = false;
        term_put_glyph(f, text, glyph);
    }
}

void
term_spaces(FILE *f, int n)
{
    for (; n > 0; n--)
        (void)fputc(' ', f);
}

void
term_paint(FILE *f, bool color, const char *sgr)
{
    if (color)
        (void)fprintf(f, "\033[%sm", sgr);
}

void
term_unpaint(FILE *f, bool color)
{
    if (color)
        (void)fputs("\033[m", f);
}

void
term_painted(FILE *f, bool color, const char *sgr, const char *text)
{
    term_paint(f, color, sgr);
    term_text(f, text);
    term_unpaint(f, color);
}

/* ---- numbers and times ----------------------------------------------------------- */

void
format_count(char *text, size_t size, uint64_t n, const char *noun)
{
    if (n == 0)
        (void)snprintf(text, size, "no %ss", noun);
    else
        (void)snprintf(text, size, "%" PRIu64 " %s%s", n, noun, n == 1 ? "" : "s");
}

void
format_duration(char *text, size_t size, int64_t ms)
{
    int64_t s = ms / 1000;

    if (ms < 1000)
        (void)snprintf(text, size, "%" PRId64 " ms", ms);
    else if (s < 10)
        (void)snprintf(text, size, "%" PRId64 ".%" PRId64 " s", s, ms % 1000 / 100);
    else if (s < 60)
        (void)snprintf(text, size, "%" PRId64 " s", s);
    else if (s < 3600)
        (void)snprintf(text, size, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        (void)snprintf(
            text, size, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
}

void
format_elapsed(char *text, size_t size, int64_t ms)
{
    if (ms < 60000)
        (void)snprintf(text, size, "%" PRId64 " s", ms / 1000);
    else
        format_duration(text, size, ms);
}

/* "3 min ago"; false when that says too little: long ago, or still to come. */
static bool
format_age(char *text, size_t size, int64_t s)
{
    if (s < 0 || s >= INT64_C(30) * 86400)
        return false;
    if (s < 60)
        (void)snprintf(text, size, "%" PRId64 " s ago", s);
    else if (s < 3600)
        (void)snprintf(text, size, "%" PRId64 " min ago", s / 60);
    else if (s < 86400)
        (void)snprintf(text, size, "%" PRId64 " h ago", s / 3600);
    else
        (void)snprintf(text, size, "%" PRId64 " day%s ago", s / 86400,
            s < INT64_C(2) * 86400 ? "" : "s");
    return true;
}

void
format_time(const struct report *r, char *text, size_t size, int64_t us)
{
    time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
    struct tm utc;

    text[0] = '\0';
    if (us == RUNG_NO_TIME)
        return;
    if (r->relative_times && format_age(text, size, (r->now_us - us) / 1000000))
        return;
    if (gmtime_r(&seconds, &utc) == NULL
        || strftime(text, size, "%Y-%m-%d %H:%M:%SZ", &utc) == 0)
        text[0] = '\0';
}
