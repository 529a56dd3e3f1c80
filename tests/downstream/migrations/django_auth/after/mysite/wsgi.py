import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

from signing_in import Users

from nipo_auth_mw import legacy
from nipo_auth_mw.django import protect

application = protect(get_wsgi_application(), users=Users(), legacy_hashers=[legacy.django()])
