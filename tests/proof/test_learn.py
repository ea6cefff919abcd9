"""load.yaml from what users did: templates, weights, statuses, and no secret in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from cyan.errors import UsageError
from cyan.proof import loadfile, theirs
from cyan.proof.learn import learn
from cyan.proof.loadfile import LoadFile

SCHEMA = Path(__file__).parents[2] / "docs" / "load.schema.json"
AT = datetime(2026, 11, 26, 14, 30, tzinfo=UTC).timestamp()


def caddy(*requests: tuple[str, str, int], at: float = AT, host: str = "shop.example") -> str:
    lines = [
        {"ts": at, "request": {"method": method, "host": host, "uri": uri,
                               "headers": {"Cookie": ["session=s3cret"], "Authorization": ["x"]}},
         "status": status}
        for method, uri, status in requests
    ]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines)


def gets(*uris: str) -> str:
    return caddy(*(("GET", uri, 200) for uri in uris))


def learned(text: str, **how: Any) -> dict[str, loadfile.Shape]:
    return {shape.title: shape for shape in learn(text, **how).load.requests}


def test_paths_become_templates_with_their_values_and_weights() -> None:
    found = learned(gets("/", "/items/7", "/items/8", "/items/7", "/?page=2"))
    assert {title: shape.weight for title, shape in found.items()} == {
        "GET /items/{item_1}": 3, "GET /": 1, "GET /?page={q_page}": 1,
    }  # fmt: skip
    assert found["GET /items/{item_1}"].values == {"item_1": ("7", "8")}
    assert found["GET /?page={q_page}"].values == {"q_page": ("2",)}


def test_a_part_with_many_names_is_a_value() -> None:
    words = [f"{first}{second}" for first in "abcd" for second in "wxyz"]
    found = learned(gets(*(f"/animals/{word}/photo" for word in words)))
    (shape,) = found.values()
    assert shape.path == "/animals/{animal_1}/photo"
    assert set(shape.values["animal_1"]) == set(words)


@pytest.mark.parametrize(
    "uri",
    [
        "/reset/q8Zr3vTn2LxYp5Kd9WmB",
        "/confirm/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig",
        "/unsubscribe/ann@example.org",
    ],
)
def test_a_path_that_could_let_somebody_in_is_not_learned(uri: str) -> None:
    made = learn(gets("/", uri))
    assert [shape.path for shape in made.load.requests] == ["/"]
    assert made.left_out == ("1 requests left out: their path holds what looks like a secret",)


@pytest.mark.parametrize(
    "query",
    ["token=abc", "api_key=1", "sid=9", "email=a%40b.org", "q=eyJhbGciOiJIUzI1NiJ9", "code=77"],
)
def test_a_parameter_that_looks_like_a_secret_is_left_out(query: str) -> None:
    (shape,) = learned(gets(f"/search?{query}&lang=de")).values()
    assert shape.path == "/search?lang={q_lang}"


def test_a_file_with_a_digest_in_its_name_is_no_secret() -> None:
    (shape,) = learned(gets("/assets/index-4f3a9b8c7d6e5f4a3b2c.js")).values()
    assert shape.path == "/assets/index-4f3a9b8c7d6e5f4a3b2c.js"


def test_no_header_of_a_user_is_learned() -> None:
    text = theirs.text(learn(gets("/")).load)
    assert "s3cret" not in text
    assert "Cookie" not in text


@given(some.lists(some.text(alphabet="abc/?&=%{}.0123456789@-_ ", max_size=30), max_size=20))
def test_whatever_is_asked_for_a_load_can_be_read_again(uris: list[str]) -> None:
    text = gets("/", *(f"/{uri}" for uri in uris))
    made = learn(text).load
    assert LoadFile.model_validate(yaml.safe_load(theirs.text(made))) == made
    for shape in made.requests:
        path = shape.path.format(**{name: values[0] for name, values in shape.values.items()})
        assert path.startswith("/")


def test_the_statuses_that_are_usual_are_expected() -> None:
    text = caddy(*[("GET", "/", 200)] * 60, *[("GET", "/", 304)] * 30, *[("GET", "/", 302)] * 9,
                 ("GET", "/", 500))  # fmt: skip
    assert learned(text)["GET /"].expects == (200, 302)


def test_what_mostly_fails_is_left_out_and_told() -> None:
    made = learn(caddy(("GET", "/", 200), *[("GET", "/wp-login.php", 404)] * 9))
    assert [shape.title for shape in made.load.requests] == ["GET /"]
    (told,) = made.left_out
    assert told == "9 requests left out: GET /wp-login.php: mostly answered with an error"


def test_what_changes_something_is_learned_only_when_asked_for() -> None:
    text = caddy(("GET", "/", 200), ("POST", "/orders", 201), ("DELETE", "/orders/1", 204))
    assert set(learned(text)) == {"GET /"}
    assert set(learned(text, writes=True)) == {
        "GET /", "POST /orders", "DELETE /orders/{order_1}",
    }  # fmt: skip


def test_only_one_host_is_learned_where_it_is_named() -> None:
    text = gets("/") + caddy(("GET", "/admin", 200), host="admin.example")
    assert set(learned(text, host="shop.example")) == {"GET /"}


def test_rates_are_of_each_hour() -> None:
    text = caddy(*[("GET", "/", 200)] * 360) + caddy(*[("GET", "/", 200)] * 72, at=AT + 3600)
    assert learn(text).load.rates == {14: 0.1, 15: 0.02}


def test_nginx_s_combined_format_is_read() -> None:
    line = (
        '203.0.113.9 - ann [26/Nov/2026:14:30:01 +0000] "GET /items/3 HTTP/1.1" 200 512 '
        '"https://shop.example/" "Mozilla/5.0"\n'
    )
    made = learn(line * 4 + "nonsense\n").load
    assert [(shape.title, shape.weight) for shape in made.requests] == [("GET /items/{item_1}", 4)]
    assert set(made.rates) == {14}


def entry(method: str, url: str, status: int = 200, body: str = "") -> dict[str, Any]:
    data = {"postData": {"text": body, "mimeType": "application/json"}} if body else {}
    return {"request": {"method": method, "url": url, **data}, "response": {"status": status}}


def test_a_har_is_read_of_its_own_host_alone() -> None:
    entries = [
        entry("GET", "https://shop.example/"),
        entry("POST", "https://shop.example/orders", 201, '{"item": 1}'),
        entry("GET", "https://analytics.example/x"),
    ]
    text = json.dumps({"log": {"entries": entries}})
    found = learned(text, writes=True)
    assert set(found) == {"GET /", "POST /orders"}
    order = found["POST /orders"]
    assert (order.body, order.headers) == ('{"item": 1}', {"Content-Type": "application/json"})


def test_openapi_gives_what_can_be_asked_with_its_examples() -> None:
    item = {"in": "path", "name": "id", "schema": {"type": "integer", "example": 5}}
    nobody = {"in": "path", "name": "name", "schema": {"type": "string"}}
    page = {"in": "query", "name": "page", "required": True, "schema": {"default": 2}}
    document = {
        "openapi": "3.1.0",
        "paths": {
            "/items": {"get": {"parameters": [page], "responses": {"200": {}}}, "post": {}},
            "/items/{id}": {"parameters": [item], "get": {"responses": {"200": {}, "404": {}}}},
            "/users/{name}": {"get": {"parameters": [nobody], "responses": {}}},
        },
    }
    found = learned(json.dumps(document))
    assert set(found) == {"GET /items?page={q_page}", "GET /items/{item_1}"}
    assert found["GET /items/{item_1}"].values == {"item_1": ("5",)}


@pytest.mark.parametrize("text", ["", "hello\n", "{}", '{"log": {}}', '{"paths": {}}', "[1]"])
def test_what_tells_of_no_request_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        learn(text)


def test_the_schema_in_the_docs_is_the_format_s() -> None:
    wanted = json.dumps(LoadFile.model_json_schema(), indent=1) + "\n"
    assert SCHEMA.read_text() == wanted, "write it anew: see CONTRIBUTING.md"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("requests: []", "there is nothing to ask for"),
        ("requests: [{path: items}]", "begin with one '/'"),
        ("requests: [{path: '/{n}'}]", "do not name the same parts: n"),
        ("requests: [{path: /, values: {n: [1]}}]", "requests.0"),
        ("requests: [{path: /}, {path: /}]", "two requests of one name"),
        ("requests: [{path: /, weight: 0}]", "greater than 0"),
        ("requests: [{path: /, expects: []}]", "expects"),
        ("requests: [{path: /, colour: red}]", "colour"),
        ("requests: {", "cannot be read"),
    ],
)
def test_a_load_that_is_none_is_refused_with_the_key(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "load.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        loadfile.read(path)
    assert fault in str(refused.value)
