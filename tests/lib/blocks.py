"""blocks.py FILE.md LANGUAGE [HEADING]: the code blocks of that language, below that
heading, one behind the other."""
import re
import sys

text = open(sys.argv[1], encoding="utf-8").read()
if len(sys.argv) > 3:
    start = text.index(f"\n## {sys.argv[3]}\n")
    end = text.find("\n## ", start + 4)
    text = text[start : end if end >= 0 else len(text)]
found = re.findall(r"(?ms)^```" + re.escape(sys.argv[2]) + r"\n(.*?)^```$", text)
if not found:
    sys.exit(f"{sys.argv[1]}: no block of {sys.argv[2]}")
print("\n".join(found), end="")
