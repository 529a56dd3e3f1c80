"""The recipes of docs/guides/testing.md and the blocks of docs/guides/django.md, as they stand."""

from __future__ import annotations

import re
from pathlib import Path

from tests.downstream.test_first_day import mysite, run

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
GUIDE = (GUIDES / "testing.md").read_text("utf-8")


def files(guide):
    """The Python blocks of a guide, by the names of their files."""
    return dict(re.findall(r"```python\n# ([\w/]+\.py)\n(.*?)```", guide, re.DOTALL))


FILES = files(GUIDE)
DJANGO = "mysite/tests.py"
__all__ = ["mysite"]


def test_there_are_twelve():
    assert re.findall(r"^### (\d+)\.", GUIDE, re.MULTILINE) == [str(number) for number in range(1, 13)]


def test_the_recipes_for_pytest_pass(tmp_path):
    for name in FILES.keys() - {DJANGO}:
        (tmp_path / name).write_text(FILES[name], "utf-8")
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path)
    tests = sum(text.count("\ndef test_") for name, text in FILES.items() if name != DJANGO)
    assert f"{tests} passed" in done.stdout, done.stdout


def test_the_recipe_for_django_passes(mysite):
    (mysite / DJANGO).write_text(FILES[DJANGO], "utf-8")
    done = run("manage.py", "test", folder=mysite)
    assert "Ran 1 test" in done.stderr
    assert done.returncode == 0, done.stderr


ADMIN = """
from webtest import TestApp
from nipo_auth_mw.testing import in_memory_from, sign_in_as
from nipo_auth_mw import django as ours
protect = ours.protect
ours.protect = lambda application: protect(application, **in_memory_from(ours.settings_and_environ()))
from mysite.wsgi import application
from django.core.management import call_command
call_command("migrate", verbosity=0)
for role in ("staff", "admin"):
    browser = TestApp(application, extra_environ={"HTTP_HOST": "localhost", "HTTP_ACCEPT": "text/html"})
    print(browser.get("/admin/").location, browser.get("/static/none.css", status=404).status_int)
    sign_in_as(application, browser, f"{role}@example.com", role=role)
    answer = browser.get("/admin/")
    print(answer.status_int, answer.location)
"""


def test_the_blocks_of_the_guide_to_django_give_administrators_the_admin_site(django_project):
    blocks = files((GUIDES / "django.md").read_text("utf-8"))
    assert blocks.keys() == {"mysite/wsgi.py", "mysite/settings.py", "mysite/people.py", "mysite/mailer.py"}
    (django_project / "mysite/wsgi.py").write_text(blocks["mysite/wsgi.py"], "utf-8")
    (django_project / "mysite/people.py").write_text(blocks["mysite/people.py"], "utf-8")
    with (django_project / "mysite/settings.py").open("a", encoding="utf-8") as settings:
        settings.write(blocks["mysite/settings.py"] + 'NIPO_AUTH_DJANGO_USER = "mysite.people.django_user"\n')
    done = run("-c", ADMIN, folder=django_project)
    visitor = "/-/auth/login?next=/admin/ 404"
    assert done.stdout.splitlines() == [visitor, "302 /admin/login/?next=/admin/", visitor, "200 None"], done.stderr


BY_DJANGO = """
from django.core import mail
from django.test import override_settings
from webtest import TestApp
from mysite.wsgi import application
from nipo_auth_mw import MailerError
from nipo_auth_mw.models import Message
from mysite.mailer import DjangoMailer
application.accounts.create(email="mail@example.com", password="aoi-umi-to-shiroi-kumo")
page = TestApp(application, extra_environ={"HTTP_HOST": "localhost", "HTTP_ACCEPT": "text/html"}).get("/-/auth/forgot")
form = page.forms["forgot"]
form["email"] = "mail@example.com"
form.submit()
assert application.flush_mail()
(sent,) = mail.outbox
print(sent.to, sent.from_email, "/-/auth/reset/" in sent.body, sent.message()["Auto-Submitted"])
print("noreply@reports.example.jp" in form.submit().text)
DjangoMailer().send(Message("mail@example.com", "subject", "text", "<p>html</p>"))
print(mail.outbox[-1].alternatives[0][1])
with override_settings(EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_PORT=1):
    try:
        DjangoMailer().send(Message("mail@example.com", "subject", "a secret link"))
    except MailerError as error:
        print(error)
"""


def test_the_mailer_of_the_guide_to_django_sends_by_its_backend(mysite):
    blocks = files((GUIDES / "django.md").read_text("utf-8"))
    (mysite / "mysite/mailer.py").write_text(blocks["mysite/mailer.py"], "utf-8")
    wsgi = blocks["mysite/wsgi.py"].replace("application())", "application(), mailer=DjangoMailer())")
    lines = ["from django.core.wsgi import get_wsgi_application\n", "from mysite.mailer import DjangoMailer\n"]
    (mysite / "mysite/wsgi.py").write_text(wsgi.replace(lines[0], "".join(lines)), "utf-8")
    with (mysite / "mysite/settings.py").open("a", encoding="utf-8") as settings:
        settings.write('EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"\n')
        settings.write('DEFAULT_FROM_EMAIL = "Reports <noreply@reports.example.jp>"\n')
    done = run("-c", BY_DJANGO, folder=mysite)
    assert done.stdout.splitlines() == [
        "['mail@example.com'] Reports <noreply@reports.example.jp> True auto-generated",
        "True",
        "text/html",
        "ConnectionRefusedError",
    ], done.stderr
