/*
 * help.c: what --help says, made of the tables of commands and options.
 */
#include "cli.h"

#define HELP_COLUMN 32 /* where the explanations begin */

static const char *const titles[] = {
    [WHERE] = "Where:",
    [WAITS] = "How long rung waits (500ms, 10s, 5min, 1h; a plain number is seconds):",
    [WORK] = "What is done:",
    [OUTPUT] = "What is said:",
};

static void
print_option(FILE *out, const struct option_help *option)
{
    char left[64];
    char letter[] = "    ";

    if (option->letter != '\0') {
        letter[0] = '-';
        letter[1] = option->letter;
        letter[2] = ',';
    }
    (void)snprintf(left, sizeof left, "  %s--%s%s%s", letter, option->name,
        option->arg == NULL ? "" : " ", option->arg == NULL ? "" : option->arg);
    if (option->group == WAITS)
        (void)fprintf(
            out, "%-*s%-40s%s\n", HELP_COLUMN, left, option->help, option->initial);
    else
        (void)fprintf(out, "%-*s%s%s%s%s\n", HELP_COLUMN, left, option->help,
            option->initial == NULL ? "" : " [",
            option->initial == NULL ? "" : option->initial,
            option->initial == NULL ? "" : "]");
}

/* The options of a group that any of the commands takes. */
static void
print_group(FILE *out, enum help_group group, int commands)
{
    struct option_help option;
    bool titled = false;

    for (size_t i = 0; cli_option_help(i, &option); i++) {
        if (option.group != group || option.help == NULL
            || (option.commands & commands) == 0)
            continue;
        if (!titled)
            (void)fprintf(out, "\n%s\n", titles[group]);
        titled = true;
        print_option(out, &option);
    }
}

static void
print_options(FILE *out, int commands)
{
    print_group(out, WHERE, commands);
    print_group(out, WAITS, commands);
    print_group(out, WORK, commands);
    print_group(out, OUTPUT, commands);
}

static void
print_commands(FILE *out, const struct command *commands)
{
    (void)fputs("\nCommands:\n", out);
    for (const struct command *c = commands; c->name != NULL; c++) {
        char left[64];

        if (c->summary == NULL)
            continue;
        (void)snprintf(left, sizeof left, "  %s%s%s", c->name,
            c->argument == NULL ? "" : " ", c->argument == NULL ? "" : c->argument);
        (void)fprintf(out, "%-*s%s\n", HELP_COLUMN, left, c->summary);
    }
}

void
cli_print_help(FILE *out, const struct command *commands)
{
    (void)fputs("Usage: rung [OPTION]... COMMAND [ARGUMENT]\n"
                "\n"
                "Applies numbered .sql files to PostgreSQL, once each, in order.\n",
        out);
    print_commands(out, commands);
    print_options(out, FOR_ALL);
    (void)fputs(
        "\n"
        "Exit status: 0 done, or nothing to do; 1 a file failed or was refused;\n"
        "2 usage; 3 files and ledger disagree; 4 a lock was not had in time;\n"
        "5 no connection; 6 pending, where that was asked; 128+n signal n.\n",
        out);
}

void
cli_print_command_help(FILE *out, const struct command *command)
{
    (void)fprintf(out, "Usage: rung %s [OPTION]...%s%s\n\n%s", command->name,
        command->argument == NULL ? "" : " ",
        command->argument == NULL ? "" : command->argument, command->help);
    print_options(out, command->bit);
}

void
cli_print_short_help(FILE *out, const struct command *commands)
{
    (void)fputs("Usage: rung [OPTION]... COMMAND [ARGUMENT]\n", out);
    print_commands(out, commands);
    (void)fputs(
        "\n`rung --help` says more, `rung help COMMAND` all of a command.\n", out);
}
