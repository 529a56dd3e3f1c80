"""A host's own user table."""

import threading

from nipo_auth_mw.models import Account


class DictUsers:
    """The three methods of `UserStore` over a dict."""

    def __init__(self):
        self.rows = {}
        self.lock = threading.Lock()

    def add(self, email, password_hash, active=True):
        user_id = f"u{len(self.rows)}"
        self.rows[user_id] = Account(user_id, email, password_hash, active=active, name="own")
        return user_id

    def get(self, user_id):
        return self.rows.get(user_id)

    def find_by_email(self, email):
        return next((row for row in self.rows.values() if row.email == email), None)

    def set_password_hash(self, user_id, new, *, expected):
        with self.lock:
            row = self.rows.get(user_id)
            if row is None or row.password_hash != expected:
                return False
            self.rows[user_id] = Account(row.id, row.email, new, row.active, row.name, row.role)
            return True
