from nipo_auth_mw import legacy
from nipo_auth_mw.stores import DjangoUsers
from nipo_auth_mw.testing import django

__all__ = ["SIGN_IN", "Client", "by_password"]

SIGN_IN = "/-/auth/login?next=/"


class Client(django.Client):
    collaborators = {"users": DjangoUsers(), "legacy_hashers": [legacy.django()]}


def by_password(client, email, password):
    return client.post("/-/auth/login", {"email": email, "password": password})
