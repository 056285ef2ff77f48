# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The OpenAPI document that a server gives of itself, and whether its answers keep to it.

Understands the part of JSON Schema that our document uses. Stricter than the schema in one thing: a member
that an answer has and the document doesn't is a finding.
"""
import re


class Contract:
    def __init__(self, document):
        self.document = document
        self.routes = []
        for path, operations in document["paths"].items():
            pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")
            for method, operation in operations.items():
                self.routes.append((path.count("{"), pattern, method.upper(), path, operation))
        self.routes.sort(key=lambda route: route[0])  # literal parts first

    def find(self, method, path):
        """(path as documented, operation), or None."""
        path = path.split("?")[0]
        for _, pattern, verb, documented, operation in self.routes:
            if verb == ("GET" if method == "HEAD" else method) and pattern.match(path):
                return documented, operation
        return None

    def faults(self, answer):
        """What of an answer the document doesn't say: a list of texts."""
        found = self.find(answer.method, answer.path)
        if not found:
            return []
        responses, status = found[1]["responses"], str(answer.status)
        documented = responses.get(status) or responses.get(f"{status[0]}XX")
        if not documented:
            return [f"status {status} is not documented"]
        content = documented.get("content")
        if not answer.body or answer.method == "HEAD":
            return []
        if not content:
            return [f"status {status} is documented without a body"]
        if answer.type not in content:
            # Errors follow Accept; a web page for a browser is no part of the interface.
            return [] if answer.status >= 400 or answer.type == "multipart/byteranges" else [f"{answer.type} is not documented"]
        if "json" not in answer.type:
            return []
        return list(self.mismatches(content[answer.type]["schema"], answer.json, "$"))

    def mismatches(self, schema, value, at):
        if "$ref" in schema:
            nullable = schema.get("nullable")
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            if nullable and value is None:
                return
        if value is None:
            if not schema.get("nullable") and schema:
                yield f"{at} is null"
            return
        wanted = schema.get("type")
        is_right = {"string": lambda: isinstance(value, str), "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
                    "number": lambda: isinstance(value, (int, float)) and not isinstance(value, bool), "boolean": lambda: isinstance(value, bool),
                    "array": lambda: isinstance(value, list), "object": lambda: isinstance(value, dict), None: lambda: True}
        if not is_right[wanted]():
            yield f"{at} is {value!r}, no {wanted}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{at} is {value!r}, none of {schema['enum']}"
        if wanted == "array":
            for i, element in enumerate(value):
                yield from self.mismatches(schema["items"], element, f"{at}[{i}]")
        if wanted == "object":
            yield from self._members(schema, value, at)

    def _members(self, schema, value, at):
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{at}.{name} is missing"
        for name, member in value.items():
            if name in schema.get("properties", {}):
                yield from self.mismatches(schema["properties"][name], member, f"{at}.{name}")
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from self.mismatches(schema["additionalProperties"], member, f"{at}.{name}")
            elif "properties" in schema:
                yield f"{at}.{name} is not documented"
