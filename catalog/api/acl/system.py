"""`/v1/acl/bootstrap`, `/replication` and `/templated-policy*`: the first token, and what is built in."""

import hashlib
import uuid
from typing import Any

from catalog.access.acl.builtin import operator_token
from catalog.access.acl.model import (
    BOOTSTRAP,
    BOOTSTRAP_KEY,
    MANAGEMENT_ID,
    AclPolicy,
    Rights,
    TemplatedPolicy,
    Token,
    secret_hash,
)
from catalog.access.acl.templates import TEMPLATES, Template, TemplateError, template_rules
from catalog.access.authorizer import Access, Resource
from catalog.api.acl.bodies import BootstrapBody, VariablesBody
from catalog.api.acl.door import Door, listed
from catalog.api.acl.records import AclRecords, check_uuid, new_id, token_creation
from catalog.api.acl.secrets import Secrets
from catalog.api.acl.shapes import policy_json, template_json
from catalog.api.api import Api, Paths
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.errors import NotFoundError, PermissionDeniedError, RefusedError
from catalog.state.changes import PutRecord

BOOTSTRAP_DESCRIPTION = "Bootstrap Token (Global Management)"


class SystemEndpoints:
    """The endpoints about access control itself."""

    def __init__(self, api: Api, records: AclRecords, secrets: Secrets) -> None:
        self._api = api
        self._records = records
        self._secrets = secrets

    def paths(self) -> Paths:
        """Every path with its methods."""
        door = Door(self._api)
        return {
            "/v1/acl/bootstrap": {"PUT": door.open(self.bootstrap, BootstrapBody)},
            "/v1/acl/replication": {"GET": door.reading(self.replication)},
            "/v1/acl/templated-policies": {"GET": door.reading(self.templates)},
            "/v1/acl/templated-policy/name/{name:path}": {"GET": door.reading(self.template)},
            "/v1/acl/templated-policy/preview/{name:path}": {"POST": door.reading(self.preview, VariablesBody)},
        }

    async def bootstrap(self, call: Call) -> Answer:
        """The first management token, once. Where the operator has a token already, it takes that one to ask."""
        body = decode(call.body, BootstrapBody) if call.body.strip() else BootstrapBody()
        if operator_token(self._api.parking.state) is not None:
            call.require(Resource.ACL, "", Access.WRITE)
        self._refuse_second()
        secret = check_uuid(body.bootstrap_secret, "bootstrap secret") if body.bootstrap_secret else new_id()
        token = Token(
            new_id(), secret_hash(secret), BOOTSTRAP_DESCRIPTION, Rights((MANAGEMENT_ID,)), created_s=self._api.epoch()
        )
        done = PutRecord(BOOTSTRAP, BOOTSTRAP_KEY, token.accessor.encode(), cas=0)
        try:
            await self._records.write([done, *token_creation(token)], "somebody else was first")
        except RefusedError:
            self._refuse_second()
            raise
        self._secrets.remember(token, secret)
        return json_answer(self._records.shown_token(token, secret), pretty=call.query.pretty)

    def _refuse_second(self) -> None:
        done = self._records.record(BOOTSTRAP, BOOTSTRAP_KEY)
        if done is not None:
            raise PermissionDeniedError(
                f"Permission denied: ACL bootstrap no longer allowed (reset index: {done.modify_index})"
            )

    async def replication(self, call: Call) -> Answer:
        """There is one datacenter, so that nothing is replicated."""
        never = "0001-01-01T00:00:00Z"
        shown: dict[str, Any] = {
            "Enabled": False,
            "Running": False,
            "SourceDatacenter": "",
            "ReplicationType": "",
            "ReplicatedIndex": 0,
            "ReplicatedRoleIndex": 0,
            "ReplicatedTokenIndex": 0,
            "LastSuccess": never,
            "LastError": never,
            "LastErrorMessage": "",
        }
        return json_answer(shown, pretty=call.query.pretty)

    async def templates(self, call: Call) -> Answer:
        """Every templated policy by name."""
        return listed(call, {name: template_json(one) for name, one in TEMPLATES.items()}, 1)

    async def template(self, call: Call) -> Answer:
        """One templated policy."""
        return listed(call, template_json(_template(call)), 1)

    async def preview(self, call: Call) -> Answer:
        """The policy that a templated policy stands for, with the variables of the body."""
        template = _template(call)
        variables = decode(call.body, VariablesBody) if call.body.strip() else VariablesBody()
        try:
            rules = template_rules(TemplatedPolicy(template.name, variables.name))
        except TemplateError as error:
            raise RefusedError(f"validation error for templated policy: {error}") from error
        digest = hashlib.sha256(rules.encode()).hexdigest()
        policy = AclPolicy(
            str(uuid.uuid5(uuid.NAMESPACE_OID, digest)),
            f"synthetic-policy-{digest[:32]}",
            f"synthetic policy generated from templated policy: {template.name}",
            rules,
        )
        return json_answer(policy_json(policy, (0, 0)), pretty=call.query.pretty)


def _template(call: Call) -> Template:
    template = TEMPLATES.get(call.path["name"])
    if template is None:
        raise NotFoundError("Invalid templated policy Name: " + repr(call.path["name"][:80]))
    return template
