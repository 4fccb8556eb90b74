"""What a query template makes of a name: `${name.full}`, `${name.prefix}`, `${name.suffix}`, `${match(N)}` filled in.

Consul's rules: a group that is not there, or an expression that does not match, is empty; `$${` is a plain `${`.
"""

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from catalog.compile.queries.captures import Captures
from catalog.compile.queries.definition import FailoverTarget, InvalidQueryError, Query
from mesh.decide.regex import RegexError

_HOLE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_MATCH = re.compile(r"match\(\s*(\d{1,4})\s*\)", re.ASCII)


def check_template(query: Query) -> None:
    """Judge a template's texts: every hole is one that can be filled.

    Raises:
        InvalidQueryError: it names what there is not.
    """
    if query.is_template:
        render(query, query.name)


def render(query: Query, name: str) -> Query:
    """The query that a template is for `name`, which begins with the template's; any other query is itself.

    Raises:
        InvalidQueryError: a text of it cannot be filled in.
    """
    if not query.is_template:
        return query
    fill = _filler(query, name)
    service = query.service
    tags = tuple(fill(tag) for tag in service.tags)
    if query.template.remove_empty_tags:
        tags = tuple(tag for tag in tags if tag)
    failover = msgspec.structs.replace(
        service.failover,
        datacenters=tuple(fill(text) for text in service.failover.datacenters),
        targets=tuple(FailoverTarget(fill(part.peer), fill(part.datacenter)) for part in service.failover.targets),
    )
    rendered = msgspec.structs.replace(
        service,
        service=fill(service.service),
        failover=failover,
        near=fill(service.near),
        tags=tags,
        node_meta={key: fill(text) for key, text in service.node_meta.items()},
        service_meta={key: fill(text) for key, text in service.service_meta.items()},
        ignore_check_ids=tuple(fill(text) for text in service.ignore_check_ids),
    )
    return msgspec.structs.replace(query, service=rendered)


@lru_cache(maxsize=256)
def _captures(pattern: str) -> Captures:
    """The compiled expression: a name is asked for far more often than a template is written."""
    return Captures(pattern)


def _filler(query: Query, name: str) -> Callable[[str], str]:
    groups: tuple[str, ...] = ()
    if query.template.regexp:
        try:
            groups = _captures(query.template.regexp).search(name) or ()
        except RegexError as error:  # only one that an older version took
            raise InvalidQueryError(f"Bad Regexp: {error}") from error
    suffix = name[len(query.name) :]
    names = {"name.full": name, "name.prefix": query.name, "name.suffix": suffix, "agent.segment": ""}

    def value(hole: re.Match[str]) -> str:
        if hole[0] == "$${":
            return "${"
        text = hole[1].strip()
        if text in names:
            return names[text]
        group = _MATCH.fullmatch(text)
        if group is None:
            raise InvalidQueryError(
                f"Bad format '${{{text[:80]}}}': use name.full, name.prefix, name.suffix or match(N)"
            )
        number = int(group[1])
        return groups[number] if number < len(groups) else ""

    return lambda text: _HOLE.sub(value, text)
