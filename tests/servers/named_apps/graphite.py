"""graphite-web: REMOTE_USER_AUTHENTICATION makes a Django user of the address; a superuser there stays one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

folder = Path(sys.argv[1])
(folder / "local.py").write_text(f"""
from graphite.settings import *

SECRET_KEY = "key of the site"
REMOTE_USER_AUTHENTICATION = True
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
MIDDLEWARE = (*MIDDLEWARE, "django.contrib.auth.middleware.RemoteUserMiddleware")
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/graphite.db"}}}}
LOG_DIR = WHISPER_DIR = CERES_DIR = "{folder}"
""")
sys.path.insert(0, str(folder))
os.environ["DJANGO_SETTINGS_MODULE"] = "local"

import django

django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

from tests.servers.named_apps.signed_in import ADMINISTRATOR, MEMBER, behind, browser

call_command("migrate", verbosity=0, run_syncdb=True)
auth = behind(get_wsgi_application())
member, administrator = browser(auth, MEMBER), browser(auth, ADMINISTRATOR, "admin")
member.get("/")
administrator.get("/")
User.objects.filter(username=ADMINISTRATOR).update(is_staff=True, is_superuser=True)
print("member", member.get("/admin/auth/user/", expect_errors=True).status_int)
print("administrator", administrator.get("/admin/auth/user/", expect_errors=True).status_int)
print("visitor", browser(auth).get("/").status_int)
print("names", *sorted(User.objects.values_list("username", flat=True)))
