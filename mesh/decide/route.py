"""Which way a request goes: the compiled chain of an upstream, its routes, its weighted legs and its header edits.

Compiled once per chain; it must never choose an instance (that is `balance`) and never look at a clock.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from urllib.parse import parse_qsl

from mesh.decide.authorise import Permit
from mesh.decide.match import Fields, HeaderTest, LineTest, RuleError, line_test, path_test
from mesh.model.chain import Chain, HeaderEdit, HeaderRule, Leg, Route, Target

WEIGHT_TOTAL = 10_000
_MAX_QUERY_FIELDS = 100
_UNCLEAN = re.compile(rb"//|/\.{1,2}(?:[/;]|$)")
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
# What frames or routes a message, or says who the caller is, is the proxy's own and never edited.
_FIXED = frozenset(
    b"host content-length transfer-encoding connection keep-alive proxy-connection te trailer upgrade"
    b" x-forwarded-client-cert".split()
)


class ChainError(ValueError):
    """The chain cannot be used (refuse the resource with this text)."""


class RewriteError(ValueError):
    """The path has no canonical form after the route's rewrite (answer 400)."""


class EditPlan:
    """A compiled `HeaderEdit`; `apply` gives a new list."""

    __slots__ = ("_add", "_drop", "_set")

    def __init__(self, edit: HeaderEdit) -> None:
        self._add = _pairs(edit.add)
        self._set = _pairs(edit.set)
        removed = [_name(name) for name in edit.remove]
        self._drop = frozenset(name for name, _ in self._set).union(removed)
        gone = frozenset(removed)
        # Add, set, remove, in that order: what is set replaces what is added, what is removed is in neither.
        self._set = tuple(pair for pair in self._set if pair[0] not in gone)
        self._add = tuple(pair for pair in self._add if pair[0] not in self._drop)

    def apply(self, fields: Fields) -> list[tuple[bytes, bytes]]:
        """The fields (lower-case names) with the edit applied."""
        drop = self._drop
        return [*((pair for pair in fields if pair[0] not in drop) if drop else fields), *self._add, *self._set]


def compile_edit(edit: HeaderEdit) -> EditPlan | None:
    """Compile one edit; None when it changes nothing.

    Raises:
        ChainError: it names a field that is none or may not be edited, or a value with control characters.
    """
    return EditPlan(edit) if edit.add or edit.set or edit.remove else None


def apply_edit(fields: Fields, edit: HeaderEdit) -> list[tuple[bytes, bytes]]:
    """The fields (lower-case names) with a model edit applied; for cold paths, `EditPlan` is for hot ones."""
    return EditPlan(edit).apply(fields)


class LegPlan:
    """One leg of a route, compiled. Edits are the leg's and then the route's, in order of application."""

    __slots__ = ("failover", "leg", "request_edits", "response_edits", "target")

    def __init__(self, leg: Leg, route: Route, targets: dict[str, Target]) -> None:
        self.leg = leg
        self.target = _target(targets, leg.target)
        self.failover = tuple(_target(targets, name) for name in self.target.failover)
        self.request_edits = _edits(leg.request_headers, route.request_headers)
        self.response_edits = _edits(leg.response_headers, route.response_headers)

    def edit_request(self, fields: Fields) -> Fields:
        """The request's fields as this leg sends them (the same object when nothing is edited)."""
        for edit in self.request_edits:
            fields = edit.apply(fields)
        return fields

    def edit_response(self, fields: Fields) -> Fields:
        """The response's fields as the application gets them (the same object when nothing is edited)."""
        for edit in self.response_edits:
            fields = edit.apply(fields)
        return fields


class RoutePlan:
    """One route, compiled; `route` is the model value with its time-outs and its retry policy."""

    __slots__ = ("_fields", "_methods", "_path", "_query", "always", "bounds", "legs", "route")

    def __init__(self, route: Route, targets: dict[str, Target]) -> None:
        match = route.match
        if not route.legs or sum(leg.weight for leg in route.legs) != WEIGHT_TOTAL:
            raise ChainError(f"a route's legs must weigh {WEIGHT_TOTAL} together")
        if any(leg.weight < 0 for leg in route.legs):
            raise ChainError("a leg's weight must not be negative")
        self.route = route
        self.legs = tuple(LegPlan(leg, route, targets) for leg in route.legs)
        self.bounds = tuple(accumulate(leg.weight for leg in route.legs))
        try:
            self._path = path_test(
                match.path_exact, match.path_prefix, match.path_regex, ignore_case=match.case_insensitive
            )
            self._fields = tuple(HeaderTest(rule) for rule in match.headers)
            self._query = tuple((rule, line_test(rule)) for rule in match.query)
        except RuleError as error:
            raise ChainError(str(error)) from error
        self._methods = frozenset(method.encode() for method in match.methods)
        self.always = not (self._path or self._fields or self._query or self._methods) or (
            match.path_prefix == "/" and not (self._fields or self._query or self._methods)
        )

    def matches(self, method: bytes, path: bytes, query: bytes, fields: Fields) -> bool:
        """Whether a request takes this route."""
        if self._path is not None and not self._path(path):
            return False
        if self._methods and method not in self._methods:
            return False
        if self._fields and not all(test.holds(fields) for test in self._fields):
            return False
        return not self._query or _query_holds(self._query, query)

    def rewrite(self, path: bytes) -> bytes:
        """The path to send: `prefix_rewrite` in place of the matched prefix, or of all of an exact or regex match.

        Raises:
            RewriteError: what came out is not canonical any more.
        """
        text = self.route.prefix_rewrite
        if not text:
            return path
        match = self.route.match
        rest = path[len(match.path_prefix.encode()) :] if match.path_prefix else b""
        if not (match.path_exact or match.path_prefix or match.path_regex):
            rest = path.removeprefix(b"/")
        start = text.encode()
        joined = start + (rest.removeprefix(b"/") if start.endswith(b"/") else rest)
        if joined[:1] != b"/" or _UNCLEAN.search(joined):
            raise RewriteError("the path is not canonical after the route's rewrite")
        return joined


class Router:
    """A compiled chain; make it with `compile_chain`. `is_http`: what the application sends is parsed as HTTP."""

    __slots__ = ("_last", "_only", "chain", "is_http", "routes", "targets")

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.is_http = chain.protocol in {"http", "http2", "grpc"}
        self.targets = {target.id: target for target in chain.targets}
        self.routes = tuple(RoutePlan(route, self.targets) for route in chain.routes)
        if not self.routes or not self.routes[-1].always:
            raise ChainError(f"the chain of {chain.service} must end with a route that matches everything")
        self._last = self.routes[-1]
        self._only = self._last if self.routes[0].always else None

    def route(self, permit: Permit, method: bytes, path: bytes, query: bytes, fields: Fields) -> RoutePlan:
        """The first route that matches an authorised request.

        `path` is canonical without query, `query` with or without its `?`, `fields` have lower-case names.
        """
        del permit  # Asked for, so that only an authorised request can be routed.
        if self._only is not None:
            return self.routes[0]
        for plan in self.routes:
            if plan.matches(method, path, query, fields):
                return plan
        return self._last

    def route_stream(self, permit: Permit) -> RoutePlan:
        """The route of a TCP stream: the last one, which asks nothing."""
        del permit
        return self._last


def compile_chain(chain: Chain) -> Router:
    """Compile a chain.

    Raises:
        ChainError: a route without full weight, an unknown target, a rule that cannot be used, no closing route.
    """
    return Router(chain)


def pick_leg(plan: RoutePlan, draw: float) -> LegPlan:
    """The leg that `draw` in [0, 1) falls on, in hundredths of a percent."""
    legs = plan.legs
    return legs[0] if len(legs) == 1 else legs[bisect_right(plan.bounds, int(draw * WEIGHT_TOTAL))]


def _target(targets: dict[str, Target], name: str) -> Target:
    target = targets.get(name)
    if target is None:
        raise ChainError(f"the chain names a target that it does not hold: {name!r}")
    return target


def _edits(*edits: HeaderEdit) -> tuple[EditPlan, ...]:
    return tuple(plan for plan in map(compile_edit, edits) if plan is not None)


def _name(text: str) -> bytes:
    name = text.lower().encode()
    if not _FIELD_NAME.fullmatch(name):
        raise ChainError(f"header edit: {text[:80]!r} is no header name")
    if name in _FIXED or name.startswith(b"x-linkspan-"):
        raise ChainError(f"header edit: {text[:80]!r} belongs to the proxy")
    return name


def _pairs(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    out = []
    for text, content in pairs:
        value = content.encode()
        if not _FIELD_VALUE.fullmatch(value):
            raise ChainError(f"header edit: the value of {text[:80]!r} holds a control character")
        out.append((_name(text), value))
    return tuple(out)


def _query_holds(rules: Sequence[tuple[HeaderRule, LineTest]], query: bytes) -> bool:
    """Whether all query rules hold; a parameter given twice counts with its first value, as in Envoy."""
    try:
        pairs = parse_qsl(query.removeprefix(b"?"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        return False
    values: dict[bytes, bytes] = {}
    for key, value in pairs:
        values.setdefault(key, value)
    for rule, test in rules:
        found = values.get(rule.name.encode())
        if (found is not None and test(found)) is rule.invert:
            return False
    return True
