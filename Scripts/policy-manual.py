#!/usr/bin/python3
"""Makes mailwarden.yaml(5) of its frame and the policy's JSON Schema.

    Scripts/policy-manual.py docs/man/mailwarden.yaml.5.in docs/mailwarden.schema.json > docs/man/mailwarden.yaml.5

In the frame a comment asks for a list: `.\\" keys: PATH` for a mapping's keys, `.\\" words: NAME` for the words of one of the
schema's definitions or of a key.
"""

import json
import re
import sys
import textwrap


def lines(text):
    """A sentence a line, in lines that manual pages take, with nothing that roff would take for its own."""
    for sentence in re.split(r"(?<=[.;:]) (?=[A-Z])", text):
        for line in textwrap.wrap(sentence.replace("\\", "\\e"), 76, break_long_words=False, break_on_hyphens=False):
            yield "\\&" + line if line[0] in ".'" else line


def forms(schema, root):
    """The schema itself and all that it can be instead, list or not."""
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rpartition("/")[2]]
    yield schema
    for word in ("anyOf", "oneOf", "allOf"):
        for form in schema.get(word, []):
            yield from forms(form, root)
    if "items" in schema:
        yield from forms(schema["items"], root)


def mapping(schema, root):
    return next(form for form in forms(schema, root) if "properties" in form)


def at(path, root):
    schema = root
    for name in filter(None, path.split(".")):
        schema = mapping(schema, root)["properties"][name]
    return schema


def items(entries):
    yield ".Bl -tag -width Ds"
    for name, text in entries:
        yield f".It Cm {name}"
        yield from lines(text)
    yield ".El"


def keys(path, root):
    found = mapping(at(path, root), root)
    for name, field in found["properties"].items():
        text = field["description"]
        if "default" in field:
            text += f" Default: {field['default']}."
        if name in found.get("required", []):
            text += " Required."
        yield name, text


def words(name, root):
    schema = root["definitions"].get(name) or at(name, root)
    for form in forms(schema, root):
        if "const" in form:
            yield form["const"], form["description"]
        elif "pattern" in form and "description" in form:
            yield form["examples"][0].replace(",", " ,"), form["description"]


def main(frame, schema):
    with open(schema) as file:
        root = json.load(file)
    print('.\\" Made by Scripts/policy-manual.py of mailwarden.yaml.5.in: change that one, and then: make man')
    with open(frame) as file:
        for line in file:
            asked = re.fullmatch(r'\.\\" (keys|words): ?(.*)\n', line)
            if asked:
                print(*items({"keys": keys, "words": words}[asked[1]](asked[2], root)), sep="\n")
            elif not line.startswith('.\\"'):
                print(line, end="")


main(*sys.argv[1:])
