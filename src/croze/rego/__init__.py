"""Rego, the language of policies: parse, compile, evaluate. Pure: no file, socket or clock but what
a caller hands in.

An evaluator of our own, because none of the libraries will do (all were tried, November 2026):

- `regopy` (Microsoft's rego-cpp, well kept) has no way to add functions;
- `regorus` (Microsoft's, in Rust) is on PyPI only by other people's hands. One of them,
  `gordon-to-regorus`, can add functions, but they can't be *undefined* as a failed verification
  must be (`not artifact_attestation(…)` would hold the wrong way round), an error in one ends the
  evaluation where OPA goes on, template strings are missing, `sprintf` knows half of its verbs;
- `opa-wasm`, `opa-py-wasm` want a policy that the `opa` program has compiled before;
- `opa-golib-python-bindings` is OPA itself and needs Python 3.14.

And none of them tells what a decision would need to know: buildx evaluates a policy partially to
find out which metadata of a source it must fetch.

`parse/` makes a syntax tree (`syntax.py`) of a text, `compile/` resolves names and brings bodies
into an order in which every variable is bound before it is used, with `check/` for its types;
`tree.py` is what comes of it, in which `evaluate/` finds solutions,
`builtins/` are the functions that buildx allows. What is not known yet is a value, too
(`unknowns.py`).
"""
