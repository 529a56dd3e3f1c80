from django.test import Client

__all__ = ["SIGN_IN", "Client", "by_password"]

SIGN_IN = "/accounts/login/?next=/"


def by_password(client, email, password):
    return client.post("/accounts/login/", {"username": email, "password": password})
