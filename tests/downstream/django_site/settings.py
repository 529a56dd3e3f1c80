"""A Django site with the admin site, behind the middleware."""

import atexit
import shutil
import tempfile

SECRET_KEY = "for the site's own session"
DEBUG = False
ALLOWED_HOSTS: list[str] = []
ROOT_URLCONF = "django_site.urls"
# A database in memory ignores that its connection is closed, which no other does.
FOLDER = tempfile.mkdtemp()
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{FOLDER}/site.db",
        "TEST": {"NAME": f"{FOLDER}/test.db"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "nipo_auth_mw.django.UserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "nipo_auth_mw.django.context",
            ],
            "loaders": [
                ("django.template.loaders.locmem.Loader", {"403.html": "the site's own 403 of {{ request.path }}"}),
                "django.template.loaders.app_directories.Loader",
            ],
        },
    }
]
LOGIN_URL = "/-/auth/login"
NIPO_AUTH_PUBLIC_PATHS = ["/open/*"]
NIPO_AUTH_SITE_NAME = "日報"
NIPO_AUTH_DJANGO_USER = "django_site.urls.django_user"
