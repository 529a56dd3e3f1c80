from signing_in import Users

from nipo_auth_mw import legacy
from nipo_auth_mw.django import settings_and_environ
from nipo_auth_mw.testing import in_memory_from
from nipo_auth_mw.testing.django import Client as OurClient

__all__ = ["SIGN_IN", "Client", "by_password"]

SIGN_IN = "/-/auth/login?next=/"


class Client(OurClient):
    def __init__(self, *args, **given):
        auth = {**in_memory_from(settings_and_environ()), "users": Users(), "legacy_hashers": [legacy.django()]}
        super().__init__(*args, auth=auth, **given)


def by_password(client, email, password):
    return client.post("/-/auth/login", {"email": email, "password": password})
