"""The records behind /v1/acl: names are unique, links lead somewhere, and all of a write happens or none of it."""

import pytest

from catalog.access.acl.model import MANAGEMENT_ID, POLICY_NAMES, ROLE_NAMES, Token, secret_hash
from catalog.api.acl.bodies import LinkBody, NodeIdentityBody, RightsBody, ServiceIdentityBody, TemplatedPolicyBody
from catalog.api.acl.records import (
    AclRecords,
    check_acl_name,
    check_description,
    check_uuid,
    renaming,
    token_creation,
    token_deletion,
)
from catalog.api.http.errors import RefusedError
from tests.fakes.catalog_calls import open_api

UUID = "00000000-DEAD-beef-0000-000000000000"


async def test_links_go_by_id_or_name_and_lead_somewhere() -> None:
    async with open_api() as api:
        records = AclRecords(api)
        body = RightsBody(policies=(LinkBody(name="global-management"), LinkBody(id=MANAGEMENT_ID)))
        assert records.rights_of(body, (), "Token").policies == (MANAGEMENT_ID,)
        for wrong in (LinkBody(name="no"), LinkBody(id=UUID), LinkBody()):
            with pytest.raises(RefusedError):
                records.rights_of(RightsBody(policies=(wrong,)), (), "Token")
            with pytest.raises(RefusedError):
                records.rights_of(RightsBody(), (wrong,), "Token")


@pytest.mark.parametrize(
    "body",
    [
        RightsBody(service_identities=(ServiceIdentityBody(service_name="No Good"),)),
        RightsBody(node_identities=(NodeIdentityBody(node_name="n1"),)),
        RightsBody(node_identities=(NodeIdentityBody(node_name="n 1", datacenter="dc1"),)),
        RightsBody(templated_policies=(TemplatedPolicyBody(template_name="builtin/service"),)),
        RightsBody(service_identities=(ServiceIdentityBody(service_name="web"),) * 300),
    ],
)
async def test_identities_have_names_that_can_be(body: RightsBody) -> None:
    async with open_api() as api:
        with pytest.raises(RefusedError):
            AclRecords(api).rights_of(body, (), "Token")


async def test_of_two_tokens_with_one_secret_one_is_made() -> None:
    """And of the other nothing is left."""
    async with open_api() as api:
        records = AclRecords(api)
        await records.write(token_creation(Token("a", secret_hash("s"))), "taken")
        with pytest.raises(RefusedError, match="taken"):
            await records.write(token_creation(Token("b", secret_hash("s"))), "taken")
        assert [token.accessor for token, _ in records.all_of("acl-tokens", Token)] == ["a"]
        await records.delete_tokens([Token("a", secret_hash("s"))])
        assert api.parking.state.records("acl-tokens") == api.parking.state.records("acl-secrets") == []
        assert len(token_deletion(Token("a", "x"))) == 2


async def test_a_name_goes_with_its_policy() -> None:
    async with open_api() as api:
        records = AclRecords(api)
        await records.write(renaming(POLICY_NAMES, "", "one", UUID), "taken")
        assert records.id_by_name(POLICY_NAMES, "one") == UUID
        await records.write(renaming(POLICY_NAMES, "one", "two", UUID), "taken")
        assert (records.id_by_name(POLICY_NAMES, "one"), records.id_by_name(POLICY_NAMES, "two")) == ("", UUID)
        assert renaming(POLICY_NAMES, "two", "two", UUID) == []
        with pytest.raises(RefusedError, match="taken"):
            await records.write(renaming(POLICY_NAMES, "", "two", "other"), "taken")
        assert records.id_by_name(POLICY_NAMES, "builtin/global-read-only")
        assert (records.policy_name("x"), records.role_name("x"), records.id_by_name(ROLE_NAMES, "x")) == ("", "", "")


def test_what_names_and_ids_may_be() -> None:
    assert check_uuid(UUID, "x") == UUID
    assert check_acl_name("a-B_1", "Policy") == "a-B_1"
    assert check_description("é") == "é"
    for wrong in ("", "a b", "a/b", "é", "x" * 129, "a\n"):
        with pytest.raises(RefusedError):
            check_acl_name(wrong, "Policy")
    for wrong in ("", "unknown", f"{UUID}\n", UUID[:-1]):
        with pytest.raises(RefusedError, match="UUID"):
            check_uuid(wrong, "x")
    with pytest.raises(RefusedError):
        check_description("x" * 5000)
