"""Validates JSON Lines on standard input against the program's own schemas.

    validate.py DIRECTORY

DIRECTORY holds NAME.json for every schema; an object says which it follows: bootbank.NAME/1.
Fields that a schema does not name are errors here.
"""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator


def closed(schema):
    """The same schema without room for other fields."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def validators(directory):
    made = {}
    for path in pathlib.Path(directory).glob("*.json"):
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        made[f"bootbank.{path.stem}/1"] = Draft202012Validator(closed(schema))
    return made


def main():
    known = validators(sys.argv[1])
    wrong = 0
    for line in sys.stdin:
        found = json.loads(line)
        validator = known.get(found.get("schema"))
        if validator is None:
            problems = ["no schema of that name"]
        else:
            problems = [error.message for error in validator.iter_errors(found)]
        for problem in problems:
            wrong += 1
            print(f"{problem[:500]}\n    in {line[:500]}")
    sys.exit(1 if wrong else 0)


main()
