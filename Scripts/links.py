#!/usr/bin/python3
"""Looks whether what the Markdown pages link to in this repository is there, anchors included."""

import pathlib
import re
import subprocess
import sys
import unicodedata
import urllib.parse

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)")


def anchors(text):
    """As GitHub makes them of headings."""
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        kept = (c for c in words if c in " -_" or unicodedata.category(c)[0] in "LN")
        anchor = name = "".join(kept).replace(" ", "-")
        count = 0
        while anchor in found:
            count += 1
            anchor = f"{name}-{count}"
        found.add(anchor)
    return found


def problems(page):
    text = page.read_text(encoding="utf-8")
    for number, line in enumerate(FENCE.sub(lambda block: "\n" * block[0].count("\n"), text).splitlines(), 1):
        for target in LINK.findall(CODE.sub("", line)):
            path, _, anchor = urllib.parse.unquote(target).partition("#")
            if re.match(r"[a-z]+:", path):
                continue
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                yield number, f"{path} is not there"
            elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
                yield number, f"{path or page.name} has no heading #{anchor}"


listed = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=REPOSITORY, check=True, capture_output=True, text=True,
).stdout.splitlines()
found = [
    f"{name}:{number}: {problem}"
    for name in listed
    if (REPOSITORY / name).exists()
    for number, problem in problems(REPOSITORY / name)
]
print(*found, sep="\n", end="\n" if found else "")
sys.exit(bool(found))
