OLD = "pässword of the old app"


def test_a_visitor_is_asked_to_sign_in(app, sign_in_page):
    assert app.test_client().get("/", headers={"Accept": "text/html"}).location == sign_in_page


def test_the_password_signs_in(app, by_password):
    client = app.test_client()
    by_password(client, "taro@example.com", "another password")
    assert "Hello" not in client.get("/", headers={"Accept": "text/html"}).text
    assert by_password(client, "taro@example.com", OLD).location == "/"
    assert client.get("/").text == "Hello, taro@example.com."


def test_salaries_are_for_administrators(app, by_password):
    member, boss = app.test_client(), app.test_client()
    by_password(member, "taro@example.com", OLD)
    by_password(boss, "boss@example.com", OLD)
    assert member.get("/salaries").status_code == 403
    assert boss.get("/salaries").text == "All of them."


def test_a_user_who_is_deactivated_is_signed_out(app, by_password, deactivate):
    client = app.test_client()
    by_password(client, "taro@example.com", OLD)
    deactivate("taro@example.com")
    assert "Hello" not in client.get("/", headers={"Accept": "text/html"}).text
