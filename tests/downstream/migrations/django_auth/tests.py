from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.test import TestCase
from setup import SIGN_IN, Client, by_password

OLD = "pässword of the old site"


class SiteTest(TestCase):
    client_class = Client

    @classmethod
    def setUpTestData(cls):
        hashed = PBKDF2PasswordHasher().encode(OLD, "salt", 1000)
        User.objects.create(username="taro", email="Taro@example.com", password=hashed, first_name="Taro")
        User.objects.create(username="boss", email="boss@example.com", password=hashed, is_superuser=True)

    def test_a_visitor_is_asked_to_sign_in(self):
        self.assertEqual(self.client.get("/", headers={"accept": "text/html"}).url, SIGN_IN)

    def test_the_password_signs_in(self):
        by_password(self.client, "taro@example.com", "another password")
        self.assertNotContains(self.client.get("/", follow=True, headers={"accept": "text/html"}), "Hello")
        self.assertEqual(by_password(self.client, "taro@example.com", OLD).url, "/")
        self.assertContains(self.client.get("/"), "Hello, Taro.")

    def test_salaries_are_for_the_boss(self):
        self.client.force_login(User.objects.get(username="taro"))
        self.assertEqual(self.client.get("/salaries/").status_code, 403)
        self.client.force_login(User.objects.get(username="boss"))
        self.assertContains(self.client.get("/salaries/"), "All of them.")
