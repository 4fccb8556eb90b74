"""Kubernetes accounts: what a review proves, and what a method's configuration must say."""

from typing import Any

import pytest

from catalog.access.login.identity import ProofError
from catalog.access.login.service_account import VARIABLES, read_account, read_kubernetes_config
from catalog.access.login.web_token import MethodError


def review(username: str = "system:serviceaccount:shop:web", **status: Any) -> dict[str, Any]:
    return {"status": {"authenticated": True, "user": {"username": username, "uid": "u1"}, **status}}


def test_a_reviewed_account_is_who_it_is() -> None:
    identity = read_account(review())
    assert identity.fields == {"serviceaccount": {"namespace": "shop", "name": "web", "uid": "u1"}}
    assert tuple(identity.variables) == VARIABLES


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": None},
        review(authenticated=False),
        review(authenticated="true"),
        review(user=None),
        review("alice"),
        review("system:serviceaccount:shop"),
        review("system:serviceaccount::web"),
    ],
)
def test_what_proves_nothing(answer: dict[str, Any]) -> None:
    with pytest.raises(ProofError):
        read_account(answer)


def test_what_a_method_must_say() -> None:
    whole = {"Host": "https://k8s:6443", "CACert": "x", "ServiceAccountJWT": "y"}
    assert read_kubernetes_config(whole).host == "https://k8s:6443"
    assert not read_kubernetes_config({}).host
    for wrong in ({**whole, "Host": "http://k8s"}, {"Host": "https://k8s"}, {"Colour": "red"}, {"Host": 1}):
        with pytest.raises(MethodError):
            read_kubernetes_config(wrong)
