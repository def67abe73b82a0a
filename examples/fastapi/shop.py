"""The shop's customers, in a file of JSON where a real one would have a database, and the worker that tells HubSpot of
their emails.
"""

import json
import logging
import os
import threading
import time
from collections import defaultdict

RETRY = 5


class Shop:
    def __init__(self, file, cache, hubspot, usual, quiet):
        self.file, self.cache, self.hubspot, self.usual, self.quiet = file, cache, hubspot, usual, quiet
        self.pending = 0
        self.lock = threading.Lock()
        # One job of a user at a time: two of them at once could tell HubSpot of the older email last.
        self.turns = defaultdict(threading.Lock)
        self.users = json.load(open(file)) if os.path.exists(file) else []

    def prepare(self, count):
        """Makes the customers that are not there yet, and their contacts; takes up the changes that a crash left
        behind.
        """
        for number in range(len(self.users) + 1, count + 1):
            self.users.append({"id": number, "login": f"user{number}", "email": f"user{number}@shop.test"})
        self._save()
        for user in self.users:
            if not self.cache.resolve(user["id"]):
                self.cache.record(user["id"], self.hubspot.tell(None, user["email"]))
        for change in self.cache.stale_changes(older_than=0):
            self._enqueue(self.users[int(change.user) - 1], change.token)

    def by_login(self, login):
        return next((user for user in self.users if user["login"] == login), None)

    def change_email(self, user, email):
        """The order is the rule's: begin, then the app's own commit, then the job."""
        change = None if self.usual else self.cache.begin_email_change(user["id"])
        with self.lock:
            former, user["email"] = user["email"], email
            try:
                self._save()
            except BaseException:
                user["email"] = former
                if change is not None:
                    self.cache.abandon_email_change(user["id"], change)
                raise
        self._enqueue(user, change)

    def _save(self):
        with open(f"{self.file}.new", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump(self.users, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{self.file}.new", self.file)

    def _enqueue(self, user, change):
        with self.lock:
            self.pending += 1
        threading.Thread(target=self._perform, args=(user, change), daemon=True).start()

    def _quiet_period(self):
        """Asked each time: a process with a longer page deadline may have come meanwhile."""
        while True:
            try:
                return self.quiet or self.cache.quiet_period()
            except Exception as error:
                logging.error("%s; trying again", type(error).__name__)
                time.sleep(RETRY)

    def _perform(self, user, change):
        """Until it succeeds the change stays outstanding, and the user's pages give the id alone."""
        if not self.usual:
            time.sleep(self._quiet_period())
        with self.turns[user["id"]]:
            while True:
                try:
                    # Asked again: HubSpot must not be told of a change that another job has finished.
                    if change is None or self.cache.is_change_outstanding(user["id"], change):
                        # The email as it is now: of two jobs, the later one tells of the later email.
                        answer = self.hubspot.tell(self.cache.resolve(user["id"]), user["email"])
                        self.cache.record(user["id"], answer, change=change)
                    break
                except Exception as error:
                    logging.error("user %s: %s; trying again", user["id"], type(error).__name__)
                    time.sleep(RETRY)
        with self.lock:
            self.pending -= 1
