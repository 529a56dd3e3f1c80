import pytest

TARO, BOSS = "taro@example.com", "boss@example.com"


@pytest.fixture
def taro(app, as_user):
    return as_user(app, TARO)


def test_a_visitor_is_asked_to_sign_in(app, sign_in_page):
    assert app.test_client().get("/", headers={"Accept": "text/html"}).location == sign_in_page


def test_the_password_opens_the_notes(app, by_password):
    client = app.test_client()
    assert by_password(client, TARO, "another password").status_code == 401
    assert "Notes of" not in client.get("/").text
    assert by_password(client, TARO, "pässword of the old app").location == "/"
    assert "Notes of Taro" in client.get("/").text


def test_an_address_is_found_in_any_case(app, by_password):
    assert by_password(app.test_client(), "BOSS@example.com", "pässword of the old app").location == "/"


def test_a_note_is_its_users_own(app, taro, as_user):
    assert "buy paper" in taro.post("/", data={"text": "buy paper"}).text
    assert "buy paper" in taro.get("/").text
    assert "buy paper" not in as_user(app, BOSS).get("/").text


def test_every_note_is_for_the_boss(app, taro, as_user):
    taro.post("/", data={"text": "buy paper"})
    assert taro.get("/all").status_code == 403
    assert "buy paper" in as_user(app, BOSS).get("/all").text
