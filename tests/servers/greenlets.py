"""Greenlets in the place of threads: `python -m tests.servers.greenlets FOLDER` prints what they met, as JSON."""

from gevent import monkey

monkey.patch_all()

import json
import sys
import threading

import argon2
import gevent
from gevent.lock import Semaphore

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher
from tests.kit import WRONG, SpyHasher, echo, middleware, person
from tests.security.tools import ask, login, session_pair, signed_in, who

real_thread = monkey.get_original("threading", "get_ident")
HUB = real_thread()


class Threads(SpyHasher):
    """Notes how many hashes the hub's own thread made, how many ran at once, and the beats of the hub meanwhile."""

    def __init__(self, inner):
        super().__init__(inner)
        self.beats, self.on_hub, self.at_once, self.most = 0, 0, 0, 0

    def verify(self, hash, password):
        self.on_hub += real_thread() == HUB
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            return super().verify(hash, password)
        finally:
            self.at_once -= 1


def built(folder, name, hasher, app=echo):
    store = SQLStore(f"sqlite:///{folder}/{name}.db")
    store.create_schema()
    auth = middleware(app, store=store, hasher=hasher, lockout=LockoutPolicy(client_failures=1000))
    people = [person(auth, f"p{number}@example.com") for number in range(20)]
    return auth, people


def together(count, action):
    jobs = [gevent.spawn(action, number) for number in range(count)]
    gevent.joinall(jobs, raise_error=True)
    return [job.value for job in jobs]


def while_the_heart_beats(folder):
    hasher = Threads(argon2.PasswordHasher(2, 19 * 1024, 1))
    auth, _ = built(folder, "beats", hasher)

    def beat():
        while True:
            gevent.sleep(0.001)
            hasher.beats += 1

    heart = gevent.spawn(beat)
    statuses = together(20, lambda number: login(auth, f"p{number}@example.com").status)
    heart.kill()
    found = {name: getattr(hasher, name) for name in ("beats", "on_hub", "most")}
    return {**found, "statuses": statuses, "slots": auth._services.hashing.hash_pool.slots}


def guesses(folder):
    hasher = SpyHasher(fast_hasher())
    auth, _ = built(folder, "guesses", hasher)
    statuses = together(50, lambda _: login(auth, "p0@example.com", WRONG).status)
    return {"verified": len(hasher.verified), "statuses": sorted(set(statuses))}


def right_ones(folder):
    auth, _ = built(folder, "right", fast_hasher())
    return together(10, lambda _: login(auth, "p0@example.com").status)


def identities(folder):
    """Two people's requests that meet inside the app, and again while their bodies are sent."""
    inside = Semaphore(0)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        inside.release()
        gevent.sleep(0)
        yield f"user={environ.get('REMOTE_USER')} ".encode()
        gevent.sleep(0)
        yield f"user={environ.get('REMOTE_USER')}".encode()

    auth, people = built(folder, "identities", fast_hasher(), app)
    cookies = [signed_in(auth, one.email) for one in people[:2]]
    seen = together(50, lambda number: who(auth, cookies[number % 2]) == people[number % 2].id)
    return seen


def in_flight(folder):
    """A request that is inside the app while its session is ended."""
    entered, leave = threading.Event(), threading.Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            entered.set()
            leave.wait(5)
        return echo(environ, start_response)

    auth, _ = built(folder, "flight", fast_hasher(), app)
    cookie = session_pair(login(auth, "p0@example.com"))
    slow = gevent.spawn(who, auth, cookie, "/slow")
    entered.wait(5)
    auth.accounts.set_active(auth.accounts.find("p0@example.com").id, False)
    leave.set()
    slow.join()
    return who(auth, cookie)


class Striking:
    """A host app's mailer that bounds itself by gevent.Timeout, raises one, and leaves another behind."""

    def __init__(self):
        self.tries, self.sent = 0, []

    def send(self, message):
        self.tries += 1
        if self.tries == 1:
            gevent.Timeout(0.05).start()
            raise gevent.Timeout
        self.sent.append(message.to)


def a_mailer_with_time_outs(folder):
    """Who gets a mail after time-outs in the mailer and in the background greenlet."""
    store = SQLStore(f"sqlite:///{folder}/mails.db")
    store.create_schema()
    auth = middleware(store=store, hasher=fast_hasher(), mailer=(mailer := Striking()))
    for number in range(3):
        person(auth, f"p{number}@example.com")
        ask(auth, "POST", "/-/auth/forgot", form={"email": f"p{number}@example.com"})
        gevent.sleep(0.3)
    left = not auth.flush_mail(10)
    return {"sent": sorted(mailer.sent), "left": left, "tries": mailer.tries}


if __name__ == "__main__":
    parts = (while_the_heart_beats, guesses, right_ones, identities, in_flight, a_mailer_with_time_outs)
    print(json.dumps({part.__name__: part(sys.argv[1]) for part in parts}))
