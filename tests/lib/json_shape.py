#!/usr/bin/env python3
"""Check what rung prints with --format json against the tables of docs/json.md.

    json_shape.py DOCS/JSON.MD < objects         the objects of one run of rung
    json_shape.py DOCS/JSON.MD --all < objects   of many runs: was everything seen?

Each object stands on one line, has exactly the keys of its type's table and in each a
value of the type that stands there.  Of one run the last object, and no other, is a
`result` or an `error`.  With --all every type of the page, every key with a value other
than null, and every word that a key may have must have been seen.
Prints what is wrong and exits with 1.
"""
import json
import re
import sys

VERSION = re.compile(r"0|[1-9][0-9]{0,17}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
# What no test can bring about, or what is always null so far.
NEVER = {("code", "bug"), ("finding", "column"), ("finding", "rule"),
         ("waiting", "version"), ("waiting", "filename"), ("waiting", "detail"),
         ("retry", "detail"), ("migration", "line")}


class Page:
    """The shapes: {(type, command): {key: (words of its value, may be null)}}."""

    def __init__(self, text):
        self.shapes = {}
        self.words = {
            "state": self.list_of(text, r"A \*state\* is ([^.]*)\."),
            "code": self.list_of(text, r"`code` is the exit status in a word: ([^.]*)\."),
        }
        names = []
        for line in text.splitlines():
            if line.startswith("### "):
                names = self.names(line)
                self.shapes.update({name: {} for name in names})
            elif line.startswith("## "):
                names = []
            cells = [cell.strip() for cell in line.split("|")[1:]]
            if names and cells and cells[0].startswith("`"):
                for name in names:
                    self.shapes[name][cells[0].strip("`")] = self.value(cells[1])

    @staticmethod
    def list_of(text, pattern):
        return re.findall("`([^`]+)`", re.search(pattern, text, re.S).group(1))

    @staticmethod
    def names(line):
        kind, *commands = re.findall("`([^`]+)`", line)
        return [(kind, None if c == "--version" else c) for c in commands or ["*"]]

    @staticmethod
    def value(cell):
        kind = re.sub(r" or null$|^null$", "", cell)
        words = re.findall("`([^`]+)`", kind) or [kind]
        return words, cell.endswith("null")

    def shape(self, item):
        kind = item.get("type")
        return (kind, item.get("command") if kind == "result" else "*")


def is_value(page, words, value):
    if words in (["state"], ["code"]):
        return value in page.words[words[0]]
    if words == ["string"]:
        return isinstance(value, str)
    if words == ["number"]:
        return type(value) is int and value >= 0  # bool is an int, too
    if words == ["boolean"]:
        return isinstance(value, bool)
    if words == ["version"]:
        return isinstance(value, str) and VERSION.fullmatch(value)
    if words == ["time"]:
        return isinstance(value, str) and TIME.fullmatch(value)
    return value in words


def check(page, item):
    """What is wrong with one object."""
    if item.pop("format", None) != 1:
        yield "format is not 1"
    shape = page.shapes.get(page.shape(item))
    if shape is None:
        yield f"{page.shape(item)} is not documented"
        return
    item.pop("type")
    if list(item) != list(shape):
        yield f"keys {list(item)}, documented {list(shape)}"
    for key, (words, null) in shape.items():
        value = item.get(key)
        if not (null if value is None else is_value(page, words, value)):
            yield f"{key} is {value!r}, documented {words}{' or null' if null else ''}"


def unseen(page, items):
    """What is documented, and in none of the objects."""
    for name, shape in page.shapes.items():
        mine = [item for item in items if page.shape(item) == name]
        if not mine:
            yield f"{name} was never printed"
            continue
        for key, (words, _) in shape.items():
            seen = {item.get(key) for item in mine} - {None}
            if not seen and words != [""] and (name[0], key) not in NEVER:
                yield f"{name}: {key} was always null"
            if len(words) > 1:
                yield from (f"{name}: {key} was never {w}" for w in words if w not in seen)
    for key, words in page.words.items():
        seen = {item.get(key) for item in items}
        yield from (f"{key} was never {w}" for w in words if w not in seen and (key, w) not in NEVER)


def pairs(found):
    keys = [key for key, _ in found]
    if len(keys) != len(set(keys)):
        raise ValueError(f"a key twice: {keys}")
    return dict(found)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        page = Page(file.read())
    text = sys.stdin.buffer.read().decode("utf-8")  # or fails
    items = [json.loads(line, object_pairs_hook=pairs) for line in text.split("\n")[:-1]]
    wrong = [] if text.endswith("\n") else ["the last line does not end"]
    if sys.argv[2:] == ["--all"]:
        wrong += unseen(page, items)
    else:
        ends = [item["type"] in ("result", "error") for item in items]
        if ends != [False] * (len(ends) - 1) + [True]:
            wrong.append("not one result or error, at the end")
        wrong += [f"{item}: {what}" for item in items for what in check(page, dict(item))]
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()
