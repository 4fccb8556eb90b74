"""`/v1/acl/roles`, `/role*`: rights under names, for many tokens at once."""

from catalog.access.acl.model import ROLE_NAMES, ROLES, Role, indexes, write_kept
from catalog.api.acl.bodies import RoleBody
from catalog.api.acl.door import Door, listed
from catalog.api.acl.records import AclRecords, check_acl_name, check_description, check_uuid, new_id, renaming
from catalog.api.acl.shapes import Json, role_json
from catalog.api.api import Api, Paths
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.errors import NotFoundError, RefusedError
from catalog.state.changes import DeleteRecord, PutRecord
from catalog.state.records import Record

MAX_NAME = 256


class RoleEndpoints:
    """The endpoints of roles."""

    def __init__(self, api: Api, records: AclRecords) -> None:
        self._api = api
        self._records = records

    def paths(self) -> Paths:
        """Every path with its methods."""
        door = Door(self._api)
        return {
            "/v1/acl/roles": {"GET": door.reading(self.list_all)},
            "/v1/acl/role": {"PUT": door.writing(self.create, RoleBody)},
            "/v1/acl/role/name/{name}": {"GET": door.reading(self.read_by_name)},
            "/v1/acl/role/{id}": {
                "GET": door.reading(self.read),
                "PUT": door.writing(self.update, RoleBody),
                "DELETE": door.writing(self.delete),
            },
        }

    async def list_all(self, call: Call) -> Answer:
        """Every role; `policy` keeps those that have that policy."""
        policy = call.query.first("policy")
        found = [
            self._shown(role, record)
            for role, record in self._records.all_of(ROLES, Role)
            if not policy or policy in role.rights.policies
        ]
        return listed(call, found, self._records.index(ROLES))

    async def read(self, call: Call) -> Answer:
        """One role by id."""
        return listed(
            call, self._shown(*self._found(check_uuid(call.path["id"], "Role ID"))), self._records.index(ROLES)
        )

    async def read_by_name(self, call: Call) -> Answer:
        """One role by name."""
        found = self._found(self._records.id_by_name(ROLE_NAMES, call.path["name"]))
        return listed(call, self._shown(*found), self._records.index(ROLES))

    async def create(self, call: Call) -> Answer:
        """A new role."""
        body = decode(call.body, RoleBody)
        if body.id:
            raise RefusedError("Invalid Role: the ID is the catalog's to choose: leave it out to make a role")
        return await self._put(call, self._checked(body, new_id()), None)

    async def update(self, call: Call) -> Answer:
        """Change a role."""
        body = decode(call.body, RoleBody)
        old, _ = self._found(check_uuid(call.path["id"], "Role ID"))
        if body.id not in {"", old.id}:
            raise RefusedError("Invalid Role: the ID in the body is not the one in the path")
        return await self._put(call, self._checked(body, old.id), old)

    async def delete(self, call: Call) -> Answer:
        """Delete a role: its tokens lose it. True."""
        found = self._records.role(check_uuid(call.path["id"], "Role ID"))
        if found is not None:
            changes = [DeleteRecord(ROLES, found[0].id), DeleteRecord(ROLE_NAMES, found[0].name)]
            await self._records.write(changes, "the role was changed just now: delete it again")
        return json_answer(True)  # noqa: FBT003 - the body is JSON's true

    def _found(self, role_id: str) -> tuple[Role, Record | None]:
        found = self._records.role(role_id) if role_id else None
        if found is None:
            raise NotFoundError("Requested role does not exist: ACL not found")
        return found

    def _shown(self, role: Role, record: Record | None) -> Json:
        return role_json(role, self._records.shown_rights(role.rights), indexes(record))

    def _checked(self, body: RoleBody, role_id: str) -> Role:
        name = check_acl_name(body.name, "Role", MAX_NAME)
        return Role(role_id, name, check_description(body.description), self._records.rights_of(body, (), "Role"))

    async def _put(self, call: Call, role: Role, old: Role | None) -> Answer:
        names = renaming(ROLE_NAMES, "" if old is None else old.name, role.name, role.id)
        put = PutRecord(ROLES, role.id, write_kept(role), cas=0 if old is None else None)
        await self._records.write([*names, put], f'Invalid Role: A Role with Name "{role.name}" already exists')
        return json_answer(self._shown(role, self._records.record(ROLES, role.id)), pretty=call.query.pretty)
