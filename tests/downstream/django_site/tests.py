"""`nipo_auth_mw.django` and its test client, as a site's own suite."""

from unittest import mock

import time_machine
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User as DjangoUser
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.test import Client as DjangoClient
from django.test import RequestFactory, TestCase, override_settings

from nipo_auth_mw import legacy
from nipo_auth_mw.django import UserMiddleware, by_email, by_email_or_new, role_required
from nipo_auth_mw.models import User
from nipo_auth_mw.stores import DjangoUsers
from nipo_auth_mw.testing import enrol_app, in_memory, link_in, mails, sign_out
from nipo_auth_mw.testing.django import Client

HTML = {"Accept": "text/html"}
PASSWORD = "aoi-umi-to-shiroi-kumo"


class SignedInTest(TestCase):
    client_class = Client

    def text(self, path, **more):
        return self.client.get(path, **more).content.decode()

    def test_a_visitor_is_asked_and_a_member_is_the_django_user(self):
        self.assertRedirects(self.client.get("/who", headers=HTML), "/-/auth/login?next=/who", status_code=303)
        self.assertEqual(self.text("/open/who"), "False ")
        self.client.sign_in("yamada@example.com", name="山田")
        self.assertEqual(self.text("/who"), "True yamada@example.com")
        self.assertEqual(self.text("/later"), "yamada@example.com")
        self.assertEqual(self.client.get("/missing").status_code, 404)
        self.assertEqual(DjangoUser.objects.get().is_staff, False)

    def test_the_form_signs_in_and_out(self):
        self.client.auth.accounts.create(email="yamada@example.com", password=PASSWORD)
        answer = self.client.post("/-/auth/login", {"email": "yamada@example.com", "password": PASSWORD})
        self.assertEqual(answer.status_code, 303)
        self.assertEqual(self.text("/who"), "True yamada@example.com")
        self.client.post("/-/auth/logout")
        self.assertEqual(self.client.get("/who", headers=HTML).status_code, 303)

    def test_the_kit_signs_out(self):
        self.client.sign_in()
        sign_out(self.client)
        self.assertEqual(self.client.get("/who", headers=HTML).status_code, 303)

    def test_mails_and_pages_of_the_middleware_are_there(self):
        self.client.auth.accounts.create(email="yamada@example.com", password=PASSWORD)
        self.assertContains(self.client.get("/-/auth/forgot", headers=HTML), "日報")
        self.client.post("/-/auth/forgot", {"email": "yamada@example.com"})
        (mail,) = mails(self.client.auth)
        self.assertEqual(self.client.get(link_in(mail), headers=HTML).status_code, 200)

    def test_the_decorators(self):
        for path in ("/open/mine", "/open/slow", "/open/admins/7", "/open/by-hand"):
            answer = self.client.get(path, headers=HTML)
            self.assertEqual((answer.status_code, answer["Location"]), (303, f"/-/auth/login?next={path}"))
        self.client.sign_in("yamada@example.com")
        self.assertEqual(self.text("/open/mine"), "yamada@example.com")
        self.assertEqual(self.text("/open/slow"), "slow")
        for path in ("/open/admins/7", "/open/by-hand"):
            self.assertContains(self.client.get(path), f"the site's own 403 of {path}", status_code=403)
        self.client.sign_in("kanri@example.com", role="admin")
        self.assertEqual(self.text("/open/admins/7"), "7")

    def test_a_stale_session_is_asked_for_the_password(self):
        with time_machine.travel(1_800_000_000, tick=False) as clock:
            self.client.sign_in()
            self.assertEqual(self.text("/sensitive"), "sensitive")
            clock.shift(3600)
            answer = self.client.get("/sensitive", headers=HTML)
            self.assertEqual(answer["Location"], "/-/auth/account/confirm?next=/sensitive")

    def test_a_view_for_two_steps_leads_others_to_the_page_that_sets_them_up(self):
        user = self.client.sign_in()
        answer = self.client.get("/two", headers=HTML)
        self.assertEqual(answer["Location"], "/-/auth/account/security?next=/two")
        enrol_app(self.client.auth, user)
        self.client.sign_in(user.email)
        self.assertEqual(self.text("/two"), "two")

    def test_djangos_own_checks_ask_a_visitor_and_refuse_a_member(self):
        page = "/-/auth/login?next=/open/adding%3Fpage%3D2"
        self.assertRedirects(self.client.get("/open/adding?page=2"), page, fetch_redirect_response=False)
        self.client.sign_in("yamada@example.com")
        refused = self.client.get("/open/adding?page=2")
        self.assertContains(refused, "the site's own 403 of /open/adding", status_code=403, html=False)
        self.assertEqual(self.client.post("/open/adding").status_code, 403)
        self.client.sign_in("kanri@example.com", role="admin")
        self.assertEqual(self.text("/open/adding"), "adding")

    def test_templates(self):
        self.client.sign_in("yamada@example.com", name="<山田>")
        text = self.text("/template")
        self.assertTrue(text.startswith("&lt;山田&gt; /-/auth/account <form"), text)
        self.assertInHTML('<span class="nipo-name">&lt;山田&gt;</span>', text)

    def test_djangos_own_attributes_of_an_answer_are_there(self):
        self.client.sign_in(role="admin")
        self.assertIn("app_list", self.client.get("/admin/").context)


class AdminSiteTest(TestCase):
    client_class = Client

    def setUp(self):
        DjangoUser.objects.create_superuser("boss", "boss@example.com", PASSWORD)

    def test_an_administrator_is_one_on_the_admin_site(self):
        self.client.sign_in("kanri@example.com", role="admin")
        self.assertContains(self.client.get("/admin/"), "kanri@example.com")
        self.client.sign_in("kanri@example.com", role="staff")
        self.assertEqual(self.client.get("/admin/").status_code, 302)

    def test_a_member_may_log_in_to_it_besides_and_that_ends_at_sign_out(self):
        self.client.sign_in("yamada@example.com")
        answer = self.client.post("/admin/login/?next=/admin/", {"username": "boss", "password": PASSWORD})
        self.assertEqual(answer["Location"], "/admin/")
        self.assertContains(self.client.get("/admin/"), "boss")
        self.assertEqual(self.text("/who"), "True boss")
        self.client.post("/-/auth/logout")
        self.assertEqual(Session.objects.count(), 0)
        self.client.sign_in("kanri@example.com")
        self.assertEqual(self.text("/who"), "True kanri@example.com")

    def test_a_log_in_of_another_user_is_gone_even_without_a_sign_out(self):
        self.client.sign_in("yamada@example.com")
        self.client.post("/admin/login/?next=/admin/", {"username": "boss", "password": PASSWORD})
        self.client.sign_in("kanri@example.com")
        self.assertEqual(self.text("/who"), "True kanri@example.com")
        self.assertEqual(self.client.get("/admin/").status_code, 302)

    def test_a_log_in_from_before_the_sign_in_does_not_count(self):
        DjangoClient.force_login(self.client, DjangoUser.objects.get(username="boss"))
        self.client.sign_in("yamada@example.com")
        self.assertEqual(self.text("/who"), "True yamada@example.com")

    def test_djangos_own_logout_signs_out_of_both(self):
        self.client.sign_in("kanri@example.com", role="admin")
        self.client.get("/admin/")
        self.client.post("/admin/logout/")
        self.assertEqual(self.client.get("/who", headers=HTML).status_code, 303)

    def text(self, path):
        return self.client.get(path).content.decode()


class LoginTest(TestCase):
    """A suite that logs its users in by Django's own methods passes with the client of the kit."""

    client_class = Client

    def test_the_user_who_is_forced_in_is_signed_in_with_or_without_an_address(self):
        for user in (
            DjangoUser.objects.create_user("taro", "Taro@Example.com"),
            DjangoUser.objects.create_user("nameless"),
            DjangoUser.objects.create_superuser("boss"),
        ):
            self.client.force_login(user)
            self.assertEqual(self.client.get("/who").content.decode(), f"True {user.username}")
        self.assertEqual(self.client.get("/admin/").status_code, 200)
        self.assertContains(self.client.get("/open/admins/7"), "7")
        self.assertEqual(DjangoUser.objects.count(), 3, "no user is made up")

    def test_a_log_in_by_password_and_a_log_out(self):
        DjangoUser.objects.create_user("taro", "taro@example.com", PASSWORD)
        self.assertFalse(self.client.login(username="taro", password="wrong"))
        self.assertEqual(self.client.get("/who", headers=HTML).status_code, 303)
        self.assertTrue(self.client.login(username="taro", password=PASSWORD))
        self.assertContains(self.client.get("/who"), "True taro")
        self.client.logout()
        self.assertEqual(self.client.get("/who", headers=HTML).status_code, 303)

    async def test_an_async_test_signs_in_and_out_of_both(self):
        get = sync_to_async(self.client.get)
        user = await DjangoUser.objects.acreate_user("taro", "taro@example.com", PASSWORD)
        await self.client.aforce_login(user)
        self.assertContains(await get("/who"), "True taro")
        await self.client.alogout()
        self.assertEqual((await get("/who", headers=HTML)).status_code, 303)
        self.assertFalse(await self.client.alogin(username="taro", password="wrong"))
        self.assertTrue(await self.client.alogin(username="taro", password=PASSWORD))
        self.assertContains(await get("/who"), "True taro")

    def test_no_warning_is_logged(self):
        with self.assertNoLogs("nipo_auth_mw", "WARNING"):
            self.client.force_login(DjangoUser.objects.create_user("taro"))
            self.client.get("/who")


class OwnSessionTest(TestCase):
    client_class = Client

    def text(self, path):
        return self.client.get(path).content.decode()

    def test_what_a_user_leaves_there_is_shown_to_no_other(self):
        self.client.sign_in("yamada@example.com")
        self.client.post("/save")
        copy = self.client.cookies["sessionid"].value
        answer = self.client.post("/-/auth/logout")
        self.assertEqual(answer.cookies["sessionid"]["max-age"], "0")
        self.client.sign_in("kanri@example.com")
        self.assertEqual(self.text("/open/saved"), "0 []")
        self.client.cookies["sessionid"] = copy
        self.assertEqual(self.text("/open/saved"), "0 []")

    def test_a_session_that_expired_leaves_nothing_either(self):
        with time_machine.travel(1_800_000_000, tick=False) as clock:
            self.client.sign_in("yamada@example.com")
            self.client.post("/save")
            self.client.auth.accounts.set_active("1", False)
            self.assertEqual(self.text("/open/saved"), "0 []")
            clock.shift(1)
            self.client.sign_in("kanri@example.com")
            self.assertEqual(self.text("/open/saved"), "0 []")


class MappingTest(TestCase):
    def user(self, email):
        return User(id="1", email=email, active=True, name="", role="staff")

    def test_one_active_user_with_the_address(self):
        one = DjangoUser.objects.create(username="taro", email="Taro@Example.com")
        self.assertEqual(by_email(self.user("taro@example.com")), one)
        self.assertIsNone(by_email(self.user("tar@example.com")))
        DjangoUser.objects.create(username="other", email="taro@example.com")
        self.assertIsNone(by_email(self.user("taro@example.com")), "two are none")

    def test_what_the_database_alone_takes_for_the_address_is_none(self):
        alike = [DjangoUser(username="other", email="taró@example.com")]
        with mock.patch.object(type(DjangoUser._default_manager), "filter", return_value=alike):
            self.assertIsNone(by_email(self.user("taro@example.com")))

    def test_a_disabled_one_is_none(self):
        DjangoUser.objects.create(username="taro", email="taro@example.com", is_active=False)
        self.assertIsNone(by_email(self.user("taro@example.com")))

    def test_a_name_that_looks_like_the_address_is_another_person(self):
        DjangoUser.objects.create(username="taro@example.com", email="other@example.com", is_superuser=True)
        self.assertIsNone(by_email_or_new(self.user("taro@example.com")))

    def test_a_new_one_has_no_password_and_no_rights(self):
        made = by_email_or_new(self.user("taro@example.com"))
        self.assertEqual((made.has_usable_password(), made.is_staff, made.is_superuser), (False, False, False))
        self.assertEqual(by_email_or_new(self.user("taro@example.com")), made)


COLLABORATORS = {"users": DjangoUsers(), "legacy_hashers": [legacy.django()]}


class OwnUsersClient(Client):
    collaborators = COLLABORATORS


class OwnUsersTest(TestCase):
    client_class = OwnUsersClient

    def setUp(self):
        hashed = PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000)
        self.user = DjangoUser.objects.create(username="taro", email="Taro@example.com", password=hashed)

    def test_an_old_password_signs_in_to_the_sites_own_account(self):
        answer = self.client.post("/-/auth/login", {"email": "taro@example.com", "password": PASSWORD})
        self.assertEqual(answer.status_code, 303)
        self.assertEqual(self.client.get("/who").content, b"True taro")
        self.user.refresh_from_db()
        self.assertEqual(self.user.password[:10], "$argon2id$")

    def test_a_forgotten_password_is_reset_by_mail(self):
        self.client.post("/-/auth/forgot", {"email": "taro@example.com"})
        link = link_in(mails(self.client.auth)[0])
        self.assertEqual(self.client.post(link, {"password": "akai-yama-to-aoi-sora"}).status_code, 303)
        self.user.refresh_from_db()
        self.assertEqual(self.user.password[:10], "$argon2id$")

    def test_a_django_user_is_signed_in_by_the_id_with_or_without_an_address(self):
        nameless = DjangoUser.objects.create_user("jiro")
        for user in (self.user, nameless):
            self.client.force_login(user)
            self.assertEqual(self.client.get("/who").content, f"True {user.username}".encode())
        self.client.logout()
        self.assertEqual(self.client.get("/who", headers=HTML).status_code, 303)
        self.assertEqual(DjangoUser.objects.count(), 2)

    def test_one_client_may_have_others(self):
        client = OwnUsersClient(auth=in_memory(prefix="/signin"))
        self.assertEqual(client.get("/who", headers=HTML)["Location"], "/signin/login?next=/who")
        client.force_login(self.user)
        self.assertEqual(client.get("/who").content, b"True taro")


class PlainTest(TestCase):
    def test_without_the_middleware_everyone_is_a_visitor(self):
        self.assertEqual(self.client.get("/who").content, b"False ")
        self.assertEqual(self.client.get("/template").content.split(), [])

    def test_roles_without_names_are_told(self):
        with self.assertRaisesMessage(TypeError, '@role_required("admin")'):
            role_required(lambda request: None)

    def test_a_wrong_order_is_told(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "AuthenticationMiddleware"):
            UserMiddleware(lambda request: None)(RequestFactory().get("/"))

    def test_other_collaborators_can_be_given(self):
        client = Client(auth=in_memory(prefix="/signin"))
        self.assertEqual(client.get("/who", headers=HTML)["Location"], "/signin/login?next=/who")


@override_settings(
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.RemoteUserMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
)
class RemoteUserTest(TestCase):
    def test_djangos_own_remote_user_names_people(self):
        client = Client(auth=in_memory(remote_user="email"))
        client.sign_in("yamada@example.com")
        self.assertEqual(client.get("/who").content, b"True yamada@example.com")
        client.sign_in("kanri@example.com")
        self.assertEqual(client.get("/who").content, b"True kanri@example.com")
        self.assertEqual(
            sorted(DjangoUser.objects.values_list("username", flat=True)), ["kanri@example.com", "yamada@example.com"]
        )
