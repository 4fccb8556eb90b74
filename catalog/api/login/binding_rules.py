"""`/v1/acl/binding-rules` and `/binding-rule*`: what a proof gets."""

from catalog.access.acl.model import BINDING_RULES, AuthMethod, BindingRule, indexes, write_kept
from catalog.access.login.identity import JWT_FIELDS, KUBERNETES_FIELDS, BindingError, check_rule
from catalog.access.login.service_account import VARIABLES
from catalog.access.login.web_token import read_jwt_config
from catalog.api.acl.bodies import BindingRuleBody
from catalog.api.acl.door import Door, listed
from catalog.api.acl.records import AclRecords, check_description, check_uuid, new_id
from catalog.api.acl.shapes import rule_json
from catalog.api.api import Api, Paths
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.errors import NotFoundError, RefusedError
from catalog.api.login.methods import find_method
from catalog.state.changes import DeleteRecord, PutRecord
from catalog.state.records import Record


class BindingRuleEndpoints:
    """The endpoints of binding rules."""

    def __init__(self, api: Api, records: AclRecords) -> None:
        self._api = api
        self._records = records

    def paths(self) -> Paths:
        """Every path with its methods."""
        door = Door(self._api)
        return {
            "/v1/acl/binding-rules": {"GET": door.reading(self.list_all)},
            "/v1/acl/binding-rule": {"PUT": door.writing(self.create, BindingRuleBody)},
            "/v1/acl/binding-rule/{id}": {
                "GET": door.reading(self.read),
                "PUT": door.writing(self.update, BindingRuleBody),
                "DELETE": door.writing(self.delete),
            },
        }

    async def list_all(self, call: Call) -> Answer:
        """Every binding rule, or those of `authmethod`."""
        method = call.query.first("authmethod")
        shown = [
            rule_json(rule, indexes(record))
            for rule, record in self._records.all_of(BINDING_RULES, BindingRule)
            if not method or rule.auth_method == method
        ]
        return listed(call, shown, self._records.index(BINDING_RULES))

    async def read(self, call: Call) -> Answer:
        """One binding rule."""
        rule, record = self._found(call)
        return listed(call, rule_json(rule, indexes(record)), self._records.index(BINDING_RULES))

    async def create(self, call: Call) -> Answer:
        """A new binding rule."""
        body = decode(call.body, BindingRuleBody)
        if body.id:
            raise RefusedError("Invalid Binding Rule: the ID is the catalog's to choose: leave it out to make a rule")
        return await self._put(call, self._checked(body, new_id(), body.auth_method), cas=0)

    async def update(self, call: Call) -> Answer:
        """Change a binding rule; its auth method stays."""
        body = decode(call.body, BindingRuleBody)
        old, _ = self._found(call)
        if body.auth_method not in {"", old.auth_method}:
            raise RefusedError("Invalid Binding Rule: the AuthMethod field of a Binding Rule is immutable")
        return await self._put(call, self._checked(body, old.id, old.auth_method), cas=None)

    async def delete(self, call: Call) -> Answer:
        """Delete a binding rule. True."""
        rule_id = check_uuid(call.path["id"], "Binding Rule ID")
        await self._api.submit(DeleteRecord(BINDING_RULES, rule_id))
        return json_answer(True)  # noqa: FBT003 - the body is JSON's true

    def _found(self, call: Call) -> tuple[BindingRule, Record]:
        rule_id = check_uuid(call.path["id"], "Binding Rule ID")
        found = next((one for one in self._records.all_of(BINDING_RULES, BindingRule) if one[0].id == rule_id), None)
        if found is None:
            raise NotFoundError("Requested binding rule does not exist: ACL not found")
        return found

    def _checked(self, body: BindingRuleBody, rule_id: str, method_name: str) -> BindingRule:
        try:
            method, _ = find_method(self._records, method_name)
        except NotFoundError as error:
            raise RefusedError(
                f"Invalid Binding Rule: cannot find auth method with name {method_name[:128]!r}"
            ) from error
        rule = BindingRule(
            id=rule_id,
            auth_method=method.name,
            bind_type=body.bind_type,
            bind_name=body.bind_name,
            selector=body.selector,
            description=check_description(body.description),
            bind_vars={"name": body.bind_vars.name} if body.bind_vars is not None and body.bind_vars.name else {},
        )
        fields = JWT_FIELDS if method.type == "jwt" else KUBERNETES_FIELDS
        try:
            check_rule(rule, fields, variables_of(method))
        except BindingError as error:
            raise RefusedError(f"Invalid Binding Rule: {error}") from error
        return rule

    async def _put(self, call: Call, rule: BindingRule, cas: int | None) -> Answer:
        taken = "Invalid Binding Rule: it was changed just now"
        await self._records.write([PutRecord(BINDING_RULES, rule.id, write_kept(rule), cas=cas)], taken)
        return json_answer(
            rule_json(rule, indexes(self._records.record(BINDING_RULES, rule.id))), pretty=call.query.pretty
        )


def variables_of(method: AuthMethod) -> tuple[str, ...]:
    """What a rule of the method may fill into names."""
    if method.type != "jwt":
        return VARIABLES
    return tuple(f"value.{name}" for name in read_jwt_config(method.config).claim_mappings.values())
