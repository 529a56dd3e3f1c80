"""Django: `protect(…)` around the WSGI application, and `UserMiddleware`, which makes `request.user` the Django user.

python -m django runserver --settings diary_settings
"""

from pathlib import Path

BASE_DIR = Path(__file__).parent
DEBUG = True
SECRET_KEY = "only for a developer's machine"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "diary"
WSGI_APPLICATION = "diary.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "diary.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "nipo_auth_mw.django.UserMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
NIPO_AUTH_BASE_URL = "http://localhost:8000"
NIPO_AUTH_DJANGO_USER = "nipo_auth_mw.django.by_email_or_new"
