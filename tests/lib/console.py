#!/usr/bin/env python3
"""Run the console blocks of a Markdown page and compare what they print.

    console.py PAGE.md

A block that begins ```console holds commands behind "$ " (a line that ends in a
backslash goes on in the next one) and below each what it prints, stdout and stderr
together.  All blocks of a page run in one shell, in the current directory, one after
another.  Times, durations, process ids, shortened digests and the database's name may
differ; a line "..." stands for any lines.
$CONSOLE_SHELL is that shell, which takes its script as an argument ("bash -c").
Exits with 1 when anything else differs.
"""
import os
import re
import shlex
import subprocess
import sys

END = "--- end of this command ---"

CHANGING = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?(Z|\+00)?", "TIME"),
    (r"\b\d{4}-\d\d-\d\d\b", "DATE"),
    (r"\b\d+ (ms|s|min)\b", "N ms"),
    (r'"duration_ms":\d+', '"duration_ms":N'),
    (r"\bpid \d+", "pid N"),
    (r"\b[0-9a-f]{12}\.\.\.", "DIGEST..."),  # `rung new` writes the date into a file
    (r"\bin database \w+", "in database X"),
    (r"/tmp/[^ /]*", "/tmp/X"),
    (r" +", " "),
    (r"-{3,}", "---"),
]


def blocks(page):
    """The lines of every console block."""
    inside = False
    for line in page.splitlines():
        if line.startswith("```"):
            inside = not inside and line == "```console"
        elif inside:
            yield line


def steps(page):
    """Pairs of a command and the lines that it is said to print."""
    command, printed = None, []
    lines = iter(blocks(page))
    for line in lines:
        if line.startswith("$ "):
            if command is not None:
                yield command, printed
            command, printed = line[2:], []
            while command.endswith("\\"):
                command += "\n" + next(lines)
        elif command is not None:
            printed.append(line)
    if command is not None:
        yield command, printed


def normal(line):
    for pattern, text in CHANGING:
        line = re.sub(pattern, text, line)
    return line.strip()


def matches(want, got):
    """Do the lines agree?  "..." in `want` stands for any number of lines."""
    if not want:
        return not got
    if want[0] == "...":
        return any(matches(want[1:], got[n:]) for n in range(len(got) + 1))
    return bool(got) and want[0] == got[0] and matches(want[1:], got[1:])


def lines_of(texts):
    return [normal(text) for text in texts if text.strip()]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        pairs = list(steps(file.read()))
    script = "".join(f"{command}\necho '{END}'\n" for command, _ in pairs)
    shell = shlex.split(os.environ.get("CONSOLE_SHELL", "bash -c"))
    run = subprocess.run([*shell, "exec 2>&1\n" + script],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    outputs = run.stdout.split(END + "\n")
    bad = 0
    for (command, want), got in zip(pairs, outputs):
        if not matches(lines_of(want), lines_of(got.splitlines())):
            bad += 1
            print(f"$ {command}\n--- the page says\n" + "\n".join(want) + "\n--- it prints\n" + got)
    print(f"{len(pairs)} commands, {bad} differ")
    sys.exit(1 if bad or len(outputs) != len(pairs) + 1 or not pairs else 0)


main()
