"""Who may call: a destination's intentions, compiled once per snapshot; Consul's meaning to the letter.

The first intention whose source matches decides. An action decides the connection; permissions decide each request,
in order, the first match is final and no match is the default policy, never the next intention. Permissions on a
destination that is not HTTP deny; so do missing intentions, another trust domain, an identity that is no service, and
bytes that were not parsed as HTTP where permissions apply. The datacenter of the caller is ignored, as in Consul.

A `Permit` is made here only (its constructor asks for this module's token) and must never be made elsewhere.
"""

from collections.abc import Sequence

from mesh.decide.match import Fields, HeaderTest, LineTest, RuleError, path_test
from mesh.model.identity import DEFAULT_NAMESPACE, Kind, SpiffeId
from mesh.model.intention import Action, Intention, IntentionSet, Permission
from mesh.model.names import ANY
from mesh.model.snapshot import Local

_MINT = object()
_HTTP_PROTOCOLS = frozenset(("http", "http2", "grpc"))


class Permit:
    """Leave to go on: who was let through and by which rule. Made by this module only; frozen.

    `source` is the caller's SPIFFE ID as text, `service` its name (a safe metric label), `rule` one line for the log.
    """

    __slots__ = ("rule", "service", "source")

    source: str
    service: str
    rule: str

    def __init__(self, source: str, service: str, rule: str, *, mint: object) -> None:
        if mint is not _MINT:
            raise TypeError("a Permit is granted by mesh.decide.authorise, never built")
        set_field = object.__setattr__
        set_field(self, "source", source)
        set_field(self, "service", service)
        set_field(self, "rule", rule)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Permit is frozen: {name} stays as granted")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Permit is frozen: {name} stays as granted")

    def __reduce__(self) -> str:
        raise TypeError("a Permit is neither copied nor stored")

    def __repr__(self) -> str:
        return f"Permit(source={self.source!r}, rule={self.rule!r})"


class Denied:
    """A refusal: `reason` says why in one line, `rule` which rule said so (for the log and the counter)."""

    __slots__ = ("reason", "rule")

    def __init__(self, reason: str, rule: str) -> None:
        self.reason = reason
        self.rule = rule

    def __repr__(self) -> str:
        return f"Denied(reason={self.reason!r}, rule={self.rule!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Denied) and (other.reason, other.rule) == (self.reason, self.rule)

    def __hash__(self) -> int:
        return hash((self.reason, self.rule))


class ByRequest:
    """The connection may stand, and each request on it is judged: L7 permissions apply to this source.

    `not_http` is the verdict for bytes that were not parsed as HTTP.
    """

    __slots__ = ("_otherwise", "_rules", "not_http", "rule")

    def __init__(self, rules: Sequence["_Rule"], otherwise: Permit | Denied, rule: str) -> None:
        self._rules = tuple(rules)
        self._otherwise = otherwise
        self.rule = rule
        self.not_http = Denied("the destination has L7 permissions and this is not HTTP", rule)

    def request(self, method: bytes, path: bytes, fields: Fields) -> Permit | Denied:
        """The verdict on one request. `path` is canonical without query, `fields` have lower-case names."""
        for rule in self._rules:
            if rule.path is not None and not rule.path(path):
                continue
            if rule.methods and method not in rule.methods and not (rule.deny and method.upper() in rule.methods):
                continue
            if rule.fields and not rule.fields_hold(fields):
                continue
            return rule.verdict
        return self._otherwise


Verdict = Permit | Denied | ByRequest


class Policy:
    """One destination's compiled intentions; make it with `compile_policy`, keep it as long as the snapshot's part.

    Verdicts are cached per source, so the same `Permit` object comes back for the same caller under one policy.
    """

    __slots__ = (
        "_compiled",
        "_default",
        "_intentions",
        "_trust_domain",
        "_verdicts",
        "_wildcard",
        "protocol",
        "service",
    )

    def __init__(self, intentions: IntentionSet | None, trust_domain: str) -> None:
        self._trust_domain = trust_domain
        self._verdicts: dict[SpiffeId, Verdict] = {}
        self._intentions: dict[str, Intention] = {}
        self._wildcard: Intention | None = None
        self._default: Action | None = None
        self.service = ""
        self.protocol = "tcp"
        if intentions is None:
            return
        self.service = intentions.service
        self.protocol = intentions.protocol
        self._default = intentions.default_action
        # Sorted here too: a peer that sends them in another order must not change who is let in.
        for intention in sorted(intentions.intentions, key=lambda one: -one.precedence):
            if intention.destination not in {intentions.service, ANY}:
                continue
            if intention.source == ANY:
                self._wildcard = intention
                break  # It matches everyone: nothing below it can decide.
            self._intentions.setdefault(intention.source, intention)

    def connection(self, source: SpiffeId) -> Verdict:
        """The L4 verdict on a caller whose certificate was verified; `ByRequest` where L7 permissions apply."""
        verdict = self._verdicts.get(source)
        if verdict is None:
            verdict = self._judge(source)
            if len(self._verdicts) >= _MAX_CACHED_SOURCES:
                self._verdicts.clear()
            self._verdicts[source] = verdict
        return verdict

    def request(self, source: SpiffeId, method: bytes, path: bytes, fields: Fields) -> Permit | Denied:
        """The verdict on one HTTP request: canonical path without query, lower-case field names."""
        verdict = self._verdicts.get(source) or self.connection(source)
        return verdict.request(method, path, fields) if isinstance(verdict, ByRequest) else verdict

    def opaque(self, source: SpiffeId) -> Permit | Denied:
        """The verdict on a stream that is not parsed as HTTP."""
        verdict = self.connection(source)
        return verdict.not_http if isinstance(verdict, ByRequest) else verdict

    def _judge(self, source: SpiffeId) -> Verdict:
        refusal = self._refuse_identity(source)
        if refusal is not None:
            return refusal
        if self._default is None:
            return Denied("this proxy has no intentions yet", "no intentions")
        intention = self._intentions.get(source.name, self._wildcard)
        if intention is None:
            return _settle(self._default, source, "default policy")
        return self._apply(intention, source, self._default)

    def _refuse_identity(self, source: SpiffeId) -> Denied | None:
        """Who may never call, whatever the intentions say."""
        if source.trust_domain != self._trust_domain:
            return Denied(f"the caller's trust domain is {source.trust_domain}, not {self._trust_domain}", "identity")
        if source.kind is not Kind.SERVICE:
            return Denied(f"the caller is a {source.kind.value}, and only services may call", "identity")
        if source.namespace != DEFAULT_NAMESPACE:
            return Denied(f"the caller's namespace {source.namespace} is not known here", "identity")
        return None

    def _apply(self, intention: Intention, source: SpiffeId, default: Action) -> Verdict:
        rule = f"intention {intention.source} -> {intention.destination}"
        if intention.action is not None and not intention.permissions:
            return _settle(intention.action, source, rule)
        if intention.action is not None or not intention.permissions:
            return Denied("the intention must have either an action or permissions", rule)
        if self.protocol not in _HTTP_PROTOCOLS:
            return Denied(f"the intention has L7 permissions and the destination speaks {self.protocol}", rule)
        numbered = enumerate(intention.permissions, start=1)
        rules = [_Rule(permission, source, f"{rule} permission {number}") for number, permission in numbered]
        return ByRequest(rules, _settle(default, source, f"{rule}, no permission matched: default policy"), rule)


_MAX_CACHED_SOURCES = 4096


def compile_policy(intentions: IntentionSet | None, trust_domain: str) -> Policy:
    """Compile a destination's intentions (None: not received, which denies) for callers of `trust_domain`."""
    return Policy(intentions, trust_domain)


def permit_local_app(local: Local) -> Permit:
    """The permit of this proxy's own application, for what it sends out: it is trusted by living behind the proxy."""
    source = SpiffeId(local.trust_domain, Kind.SERVICE, local.datacenter, local.service)
    return Permit(str(source), local.service, "local application", mint=_MINT)


def _settle(action: Action, source: SpiffeId, rule: str) -> Permit | Denied:
    if action is Action.ALLOW:
        return Permit(str(source), source.name, rule, mint=_MINT)
    return Denied(f"{source.name} is denied by {rule}", rule)


class _Rule:
    """One compiled permission and its ready verdict for one source.

    Whatever cannot be judged counts against the caller: a deny matches when any line of a repeated field, or the
    lines joined by a comma, match; an allow only when all lines do. A rule that does not compile never allows and
    always denies.
    """

    __slots__ = ("deny", "fields", "methods", "path", "verdict")

    def __init__(self, permission: Permission, source: SpiffeId, rule: str) -> None:
        http = permission.http
        self.deny = permission.action is not Action.ALLOW
        self.verdict = _settle(permission.action, source, rule)
        self.methods = frozenset(method.encode() for method in http.methods)
        self.path: LineTest | None = None
        self.fields: tuple[HeaderTest, ...] = ()
        try:
            self.path = path_test(http.path_exact, http.path_prefix, http.path_regex, deny=self.deny)
            self.fields = tuple(HeaderTest(header, deny=self.deny) for header in http.headers)
        except RuleError as error:
            self.verdict = Denied(f"{rule} cannot be used: {error}", rule)
            self.methods, self.path, self.fields = frozenset(), _always if self.deny else _never, ()

    def fields_hold(self, fields: Fields) -> bool:
        """Whether all header rules hold."""
        for test in self.fields:  # noqa: SIM110 - hot path: a generator costs more than the tests
            if not test.holds(fields):
                return False
        return True


def _always(_: bytes) -> bool:
    return True


def _never(_: bytes) -> bool:
    return False
