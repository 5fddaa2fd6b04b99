#!/usr/bin/env python3
"""Holds policies to a JSON Schema, as an editor does: validate.py SCHEMA POLICY... Prints {policy: [problem, ...]}."""

import json
import re
import sys

import jsonschema_rs
import yaml


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, which editors read by: no dates, and neither yes nor off is a truth."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in [
    ("null", r"null|~|", "n~" + "\0"),
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
]:
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), list(first) + [""])


def problems(validator, file):
    try:
        with open(file, encoding="utf-8") as text:
            # As JSON has it: a key is a text.
            policy = json.loads(json.dumps(yaml.load(text, Core)))
    except (yaml.YAMLError, ValueError, TypeError) as error:
        return [f"not YAML: {error}"]
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(policy)]


with open(sys.argv[1], encoding="utf-8") as file:
    validator = jsonschema_rs.validator_for(json.load(file))
json.dump({file: problems(validator, file) for file in sys.argv[2:]}, sys.stdout)
