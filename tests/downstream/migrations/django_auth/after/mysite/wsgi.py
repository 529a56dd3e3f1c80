import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

from nipo_auth_mw import legacy
from nipo_auth_mw.django import protect
from nipo_auth_mw.stores import DjangoUsers

application = protect(get_wsgi_application(), users=DjangoUsers(), legacy_hashers=[legacy.django()])
