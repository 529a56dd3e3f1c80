"""What must hold of `nipo_auth_mw.django`: `tests/security/test_django.py` runs one class for each row."""

from django.contrib.auth.models import User as DjangoUser
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.test import TestCase, override_settings
from django_site import urls

from nipo_auth_mw.django import by_email, by_email_or_new
from nipo_auth_mw.models import User
from nipo_auth_mw.testing.django import Client

HTML = {"Accept": "text/html"}
PREFLIGHT = {"Origin": "https://spa.example", "Access-Control-Request-Method": "GET"}
PASSWORD = "aoi-umi-to-shiroi-kumo"


class Site(TestCase):
    client_class = Client

    def setUp(self):
        urls.RAN.clear()
        DjangoUser.objects.create_superuser("boss", "boss@example.com", PASSWORD)

    def text(self, path):
        return self.client.get(path).content.decode()

    def known_to_django_alone(self):
        super(Client, self.client).force_login(DjangoUser.objects.get(username="boss"))

    def also_boss(self):
        self.client.post("/admin/login/?next=/admin/", {"username": "boss", "password": PASSWORD})
        self.assertEqual(self.text("/who"), "True boss")


class DJ1(Site):
    def test_the_user_is_that_of_the_session(self):
        self.assertEqual(self.text("/open/who"), "False ")
        self.client.sign_in("yamada@example.com")
        self.assertEqual(self.text("/open/who"), "True yamada@example.com")
        self.client.sign_in("suzuki@example.com")
        self.assertEqual(self.text("/open/who"), "True suzuki@example.com")

    def test_what_a_client_names_is_no_user(self):
        keys = {"REMOTE_USER": "boss", "HTTP_REMOTE_USER": "boss", "HTTP_X_REMOTE_USER": "boss"}
        self.assertEqual(self.client.get("/open/who", **keys).content, b"False ")

    def test_a_disabled_user_is_none_at_once_though_logged_in_to_django(self):
        user = self.client.sign_in("yamada@example.com")
        self.also_boss()
        self.client.auth.accounts.set_active(user.id, False)
        self.assertEqual(self.text("/open/who"), "False ")
        self.assertEqual(Session.objects.count(), 0)

    def test_a_log_in_from_before_the_sign_in_does_not_count(self):
        self.known_to_django_alone()
        self.client.sign_in("yamada@example.com")
        self.assertEqual(self.text("/who"), "True yamada@example.com")


class DJ2(Site):
    def test_a_refused_user_reaches_no_view(self):
        for path in ("/open/mine", "/open/slow", "/open/admins/7"):
            self.assertEqual(self.client.get(path, headers=HTML)["Location"], f"/-/auth/login?next={path}")
            self.assertEqual(self.client.get(path, headers={"Accept": "application/json"}).status_code, 401)
        self.client.sign_in("yamada@example.com")
        self.assertEqual(self.client.get("/open/admins/7").status_code, 403)
        self.assertEqual(urls.RAN, [])
        self.assertEqual(self.text("/open/mine"), "yamada@example.com")
        self.client.sign_in("yamada@example.com", role="admin")
        self.assertEqual(self.text("/open/admins/7"), "7")
        self.client.sign_in("yamada@example.com", role="staff")
        self.assertEqual(self.client.get("/open/admins/7").status_code, 403)

    def test_a_django_user_alone_passes_no_decorator(self):
        self.known_to_django_alone()
        for path in ("/open/mine", "/open/admins/7"):
            self.assertEqual(self.client.get(path, headers=HTML).status_code, 303)


class DJ6(Site):
    def test_a_preflight_runs_no_view_function(self):
        for path in ("/counted", "/counted-later"):
            self.assertEqual(self.client.options(path, headers=PREFLIGHT).status_code, 401)
        self.assertEqual(urls.RAN, [])
        self.client.sign_in("yamada@example.com")
        self.assertEqual(self.text("/counted"), "counted")

    def test_a_class_of_views_answers_it(self):
        answer = self.client.options("/class", headers=PREFLIGHT)
        self.assertEqual((answer.status_code, answer["Access-Control-Allow-Origin"]), (200, "https://spa.example"))

    def test_on_a_public_path_a_view_function_answers_it(self):
        self.assertEqual(self.client.options("/open/who", headers=PREFLIGHT).content, b"False ")


class DJ7(Site):
    async def test_a_site_that_is_served_by_asgi_runs_no_view(self):
        for path in ("/counted", "/counted-later", "/open/who", "/slow"):
            with self.assertRaisesMessage(ImproperlyConfigured, "wsgi.py"):
                await self.async_client.get(path)
        self.assertEqual(urls.RAN, [])


class DJ3(Site):
    def test_the_sites_session_ends_with_its_user(self):
        self.client.sign_in("yamada@example.com")
        self.also_boss()
        self.client.post("/save")
        copy = self.client.cookies["sessionid"].value
        self.client.post("/-/auth/logout")
        self.assertEqual(Session.objects.count(), 0)
        for user in ("", "suzuki@example.com"):
            if user:
                self.client.sign_in(user)
            self.client.cookies["sessionid"] = copy
            self.assertEqual(self.text("/open/saved"), "0 []")
            self.assertNotIn("boss", self.text("/open/who"))

    def test_another_user_of_the_browser_is_shown_nothing_of_it(self):
        self.client.sign_in("yamada@example.com")
        self.client.post("/save")
        self.client.sign_in("suzuki@example.com")
        self.assertEqual(self.text("/open/saved"), "0 []")


class DJ4(TestCase):
    def user(self, email):
        return User(id="1", email=email, active=True, name="", role="staff")

    def test_of_one_active_user_with_just_this_address(self):
        taro = DjangoUser.objects.create(username="taro", email="Taro@Example.com")
        self.assertEqual(by_email(self.user("taro@example.com")), taro)
        for email in ("", "tar_@example.com", "%", "taro@example.co", "taro"):
            self.assertIsNone(by_email(self.user(email)), email)

    def test_a_disabled_or_a_second_one_is_none(self):
        taro = DjangoUser.objects.create(username="taro", email="taro@example.com", is_active=False)
        self.assertIsNone(by_email(self.user("taro@example.com")))
        self.assertIsNone(by_email_or_new(self.user("taro@example.com")))
        DjangoUser.objects.filter(pk=taro.pk).update(is_active=True)
        DjangoUser.objects.create(username="other", email="taro@example.com")
        self.assertIsNone(by_email(self.user("taro@example.com")))

    def test_a_new_one_gets_no_rights_and_takes_nobodys_name(self):
        made = by_email_or_new(self.user("hanako@example.com"))
        self.assertEqual((made.has_usable_password(), made.is_staff, made.is_superuser), (False, False, False))
        DjangoUser.objects.create_superuser("jiro@example.com", "other@example.com", PASSWORD)
        self.assertIsNone(by_email_or_new(self.user("jiro@example.com")))


@override_settings(NIPO_AUTH_DJANGO_USER="nipo_auth_mw.django.by_email_or_new")
class DJ5(Site):
    def test_the_client_signs_in_who_could_sign_in(self):
        user = self.client.auth.accounts.create(email="yamada@example.com")
        self.client.auth.accounts.set_active(user.id, False)
        with self.assertRaises(ValueError):
            self.client.sign_in("yamada@example.com")
        self.assertEqual(self.text("/open/who"), "False ")
        with self.assertRaisesMessage(Exception, "amdin"):
            self.client.sign_in("suzuki@example.com", role="amdin")
        self.assertEqual(self.text("/open/who"), "False ")
