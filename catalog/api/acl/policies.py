"""`/v1/acl/policies`, `/policy*`: rules under names. Rules that cannot be read are refused when they are written."""

from catalog.access.acl.builtin import BUILTIN
from catalog.access.acl.model import POLICIES, POLICY_NAMES, AclPolicy, indexes, write_kept
from catalog.access.acl.rules import RuleError, parse_rules
from catalog.api.acl.bodies import PolicyBody
from catalog.api.acl.door import Door, listed
from catalog.api.acl.records import AclRecords, check_acl_name, check_description, check_uuid, new_id, renaming
from catalog.api.acl.shapes import policy_json
from catalog.api.api import Api, Paths
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.errors import NotFoundError, RefusedError
from catalog.state.changes import DeleteRecord, PutRecord
from catalog.state.records import Record


class PolicyEndpoints:
    """The endpoints of policies."""

    def __init__(self, api: Api, records: AclRecords) -> None:
        self._api = api
        self._records = records

    def paths(self) -> Paths:
        """Every path with its methods."""
        door = Door(self._api)
        return {
            "/v1/acl/policies": {"GET": door.reading(self.list_all)},
            "/v1/acl/policy": {"PUT": door.writing(self.create, PolicyBody)},
            "/v1/acl/policy/name/{name:path}": {"GET": door.reading(self.read_by_name)},
            "/v1/acl/policy/{id}": {
                "GET": door.reading(self.read),
                "PUT": door.writing(self.update, PolicyBody),
                "DELETE": door.writing(self.delete),
            },
        }

    async def list_all(self, call: Call) -> Answer:
        """Every policy, without its rules."""
        shown = [policy_json(policy, (0, 0), with_rules=False) for policy in BUILTIN.values()]
        shown += [
            policy_json(policy, indexes(record), with_rules=False)
            for policy, record in self._records.all_of(POLICIES, AclPolicy)
        ]
        return listed(call, shown, self._records.index(POLICIES))

    async def read(self, call: Call) -> Answer:
        """One policy by id."""
        policy, record = self._found(check_uuid(call.path["id"], "Policy ID"))
        return listed(call, policy_json(policy, indexes(record)), self._records.index(POLICIES))

    async def read_by_name(self, call: Call) -> Answer:
        """One policy by name."""
        policy, record = self._found(self._records.id_by_name(POLICY_NAMES, call.path["name"]))
        return listed(call, policy_json(policy, indexes(record)), self._records.index(POLICIES))

    async def create(self, call: Call) -> Answer:
        """A new policy."""
        body = decode(call.body, PolicyBody)
        if body.id:
            raise RefusedError("Invalid Policy: the ID is the catalog's to choose: leave it out to make a policy")
        return await self._put(call, self._checked(body, new_id()), None)

    async def update(self, call: Call) -> Answer:
        """Change a policy."""
        body = decode(call.body, PolicyBody)
        old, record = self._found(check_uuid(call.path["id"], "Policy ID"))
        if record is None:
            raise RefusedError(
                f"Changing the Rules, Name or Datacenters of the builtin {old.name} policy is not permitted"
            )
        if body.id not in {"", old.id}:
            raise RefusedError("Invalid Policy: the ID in the body is not the one in the path")
        return await self._put(call, self._checked(body, old.id), old)

    async def delete(self, call: Call) -> Answer:
        """Delete a policy: its tokens and roles lose it. True."""
        policy_id = check_uuid(call.path["id"], "Policy ID")
        if policy_id in BUILTIN:
            raise RefusedError(f"Delete operation not permitted on the builtin {BUILTIN[policy_id].name} policy")
        found = self._records.policy(policy_id)
        if found is not None:
            changes = [DeleteRecord(POLICIES, policy_id), DeleteRecord(POLICY_NAMES, found[0].name)]
            await self._records.write(changes, "the policy was changed just now: delete it again")
        return json_answer(True)  # noqa: FBT003 - the body is JSON's true

    def _found(self, policy_id: str) -> tuple[AclPolicy, Record | None]:
        found = self._records.policy(policy_id) if policy_id else None
        if found is None:
            raise NotFoundError("Requested policy does not exist: ACL not found")
        return found

    def _checked(self, body: PolicyBody, policy_id: str) -> AclPolicy:
        try:
            parse_rules(body.rules)
        except RuleError as error:
            raise RefusedError(f"Invalid Policy: Failed to parse ACL rules: {error}") from error
        name = check_acl_name(body.name, "Policy")
        if any(policy.name == name for policy in BUILTIN.values()):
            raise RefusedError(f'Invalid Policy: A Policy with Name "{name}" already exists')
        return AclPolicy(policy_id, name, check_description(body.description), body.rules, body.datacenters)

    async def _put(self, call: Call, policy: AclPolicy, old: AclPolicy | None) -> Answer:
        names = renaming(POLICY_NAMES, "" if old is None else old.name, policy.name, policy.id)
        put = PutRecord(POLICIES, policy.id, write_kept(policy), cas=0 if old is None else None)
        taken = f'Invalid Policy: A Policy with Name "{policy.name}" already exists'
        await self._records.write([*names, put], taken)
        record = self._records.record(POLICIES, policy.id)
        return json_answer(policy_json(policy, indexes(record)), pretty=call.query.pretty)
