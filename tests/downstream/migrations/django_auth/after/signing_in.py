from django.contrib.auth import get_user_model
from django.db.models.functions import Lower

from nipo_auth_mw.models import Account


def account(user):
    if user is None:
        return None
    role = "admin" if user.is_superuser else "staff"
    return Account(str(user.pk), user.email, user.password, user.is_active, user.get_full_name(), role)


class Users:
    """Django's table as it is."""

    def get(self, user_id):
        if not (user_id.isascii() and user_id.isdigit() and len(user_id) <= 18):
            return None
        return account(get_user_model().objects.filter(pk=int(user_id)).first())

    def find_by_email(self, email):
        people = get_user_model().objects.annotate(folded=Lower("email")).filter(folded=email)
        return account(people.order_by("pk").first())

    def set_password_hash(self, user_id, new, *, expected):
        return get_user_model().objects.filter(pk=int(user_id), password=expected or "").update(password=new) == 1

    def search(self, text, *, after, limit):
        people = get_user_model().objects.filter(email__contains=text)
        people = people if after is None else people.filter(email__gt=after)
        return [account(user) for user in people.order_by("email")[:limit]]
