"""Answers: Consul's headers."""

from catalog.api.http.answer import Meta, json_answer, text_answer


def test_a_read_says_what_it_rests_on() -> None:
    answer = json_answer([], Meta(42, "stale"))
    assert answer.headers == (
        (b"x-consul-index", b"42"),
        (b"x-consul-knownleader", b"true"),
        (b"x-consul-lastcontact", b"0"),
        (b"x-consul-effective-consistency", b"stale"),
        (b"x-consul-query-backend", b"blocking-query"),
    )


def test_an_index_is_never_0() -> None:
    """0 would make every client spin."""
    assert (b"x-consul-index", b"1") in json_answer([], Meta(0)).headers


def test_streams_and_caches_say_so() -> None:
    headers = dict(json_answer([], Meta(1, streaming=True, cached=True)).headers)
    assert headers[b"x-consul-query-backend"] == b"streaming"
    assert headers[b"x-cache"] == b"MISS"


def test_pretty_is_indented() -> None:
    assert json_answer({"a": 1}, pretty=True).body == b'{\n    "a": 1\n}\n'


def test_errors_are_plain_text() -> None:
    answer = text_answer("No", 500)
    assert (answer.status, answer.body, answer.content_type) == (500, b"No", b"text/plain; charset=utf-8")
