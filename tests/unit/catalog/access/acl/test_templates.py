"""Identities and templated policies: every template is rules that parse; names that could smuggle rules in are refused."""

import pytest

from catalog.access.acl.builtin import BUILTIN, MANAGEMENT, READ_ONLY
from catalog.access.acl.model import NodeIdentity, ServiceIdentity, TemplatedPolicy
from catalog.access.acl.permissions import Permissions
from catalog.access.acl.rules import parse_rules
from catalog.access.acl.templates import TEMPLATES, TemplateError, node_rules, service_rules, template_rules
from catalog.access.authorizer import Access, Resource


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_gives_rules(name: str) -> None:
    template = TEMPLATES[name]
    rules = template_rules(TemplatedPolicy(name, "web" if template.named else ""))
    assert parse_rules(rules)
    assert ("{{.Name}}" in template.source) is template.named
    assert template.source.count("{") - 2 * template.source.count("{{") == rules.count("{")
    assert bool(template.schema) is template.named


def test_a_service_writes_itself_and_its_sidecar_and_reads_the_rest() -> None:
    rights = Permissions(parse_rules(service_rules(ServiceIdentity("web"))))
    assert rights.allows(Resource.SERVICE, "web", Access.WRITE)
    assert rights.allows(Resource.SERVICE, "web-sidecar-proxy", Access.WRITE)
    assert rights.allows(Resource.SERVICE, "db", Access.READ)
    assert not rights.allows(Resource.SERVICE, "db", Access.WRITE)
    assert rights.allows(Resource.NODE, "n", Access.READ)
    assert not rights.allows(Resource.NODE, "n", Access.WRITE)


def test_a_node_writes_itself() -> None:
    rights = Permissions(parse_rules(node_rules(NodeIdentity("n1", "dc1"))))
    assert rights.allows(Resource.NODE, "n1", Access.WRITE)
    assert not rights.allows(Resource.NODE, "n2", Access.READ)


def test_the_builtin_policies() -> None:
    for resource in Resource:
        assert Permissions(parse_rules(MANAGEMENT.rules)).allows(resource, "x", Access.WRITE)
        reader = Permissions(parse_rules(READ_ONLY.rules))
        assert reader.allows(resource, "x", Access.READ)
        assert not reader.allows(resource, "x", Access.WRITE)
    assert [policy.name for policy in BUILTIN.values()] == ["global-management", "builtin/global-read-only"]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("builtin/planet", "x"),
        ("builtin/service", ""),
        ("builtin/service", 'x" { policy = "write" } acl = "write" #'),
        ("builtin/service", "Web"),
        ("builtin/service", "-x"),
        ("builtin/service", "x\n"),
        ("builtin/node", "a b"),
        ("builtin/dns", "x"),
        ("builtin/service", "x" * 257),
    ],
)
def test_what_is_refused(template: str, name: str) -> None:
    with pytest.raises(TemplateError):
        template_rules(TemplatedPolicy(template, name))
