"""`matrix` and `name`: one block that is several targets."""

from __future__ import annotations

import re
from collections.abc import Callable

from croze.bake.errors import BakeError
from croze.bake.hcl.content import AnyBlock, BodySchema
from croze.bake.hcl.evaluate import evaluate
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.syntax import Expression
from croze.bake.values.convert import ConversionError, to_string
from croze.bake.values.value import Value

_SCHEMA = BodySchema({"matrix": False, "name": False})
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
# More than anybody builds; fewer than would take long to refuse.
_MOST_TARGETS = 100_000


def check_name(name: str) -> None:
    """See that targets and groups may be called so. Raises `BakeError`."""
    if not _NAME.fullmatch(name):
        raise BakeError(f'only "{_NAME.pattern}" are allowed')


def _attributes(block: AnyBlock) -> tuple[Expression | None, Expression | None]:
    """The expressions of `matrix` and `name`."""
    content = block.body.content(_SCHEMA, [])
    matrix, name = content.attributes.get("matrix"), content.attributes.get("name")
    return (matrix.expression if matrix else None), (name.expression if name else None)


def scopes_of(
    block: AnyBlock, scope: Scope, load: Callable[[Expression, Scope], None]
) -> list[Scope]:
    """A scope for each target that the block is."""
    matrix, _ = _attributes(block)
    if matrix is None:
        return [scope]
    if block.type == "group":
        raise BakeError("matrix is not supported for groups")
    load(matrix, scope)
    value = evaluate(matrix, scope)
    if not value.is_mapping:
        raise BakeError("matrix must be a map")
    combinations: list[dict[str, Value]] = [{}]
    for axis, each in value.elements():
        if not (each.is_sequence or each.is_mapping) or each.is_null:
            raise BakeError("matrix values must be a list")
        values = each.values
        if len(values) * len(combinations) > _MOST_TARGETS:
            raise BakeError(f"matrix makes more than {_MOST_TARGETS} targets")
        combinations = [{**rest, axis.text: item} for item in values for rest in combinations]
    # An empty matrix leaves the one scope there was, as it has no axis to multiply by.
    if combinations == [{}]:
        return [scope]
    return [scope.child(combination) for combination in combinations]


def name_of(block: AnyBlock, scope: Scope, load: Callable[[Expression, Scope], None]) -> str:
    """The name of the block's target in one of its scopes. Raises `BakeError`, and `HclError` for
    an expression that is wrong."""
    label = block.labels[0]
    matrix, name = _attributes(block)
    if block.type == "group":
        if name is not None:
            raise BakeError("name is not supported for groups")
        return label
    if name is None:
        return label
    if matrix is None:
        raise BakeError("name requires matrix")
    load(name, scope)
    value = evaluate(name, scope)
    try:
        text = to_string(value)
    except ConversionError as error:
        raise BakeError(str(error)) from None
    if text.is_null:
        raise BakeError("name must not be null")
    return text.text
