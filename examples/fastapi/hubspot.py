"""HubSpot's contacts API, v3: as much of it as a shop needs. Each returns the body of the answer, which goes to the
cache as it is.
"""

import json
import urllib.error
import urllib.request

CONTACTS = "/crm/v3/objects/contacts"


class Hubspot:
    def __init__(self, url, token):
        self.url, self.token = url, token

    def tell(self, vid, email):
        """Tells HubSpot of a user's email: their contact's, or a new one's."""
        try:
            return self._call("PATCH", f"/{vid}", email) if vid else self._create(email)
        except urllib.error.HTTPError as error:
            if vid and error.code == 404:
                return self._create(email)
            # Another contact has this email. What this one has is recorded, which ends the change; pages give the id
            # alone.
            if vid and error.code == 409:
                return self._call("GET", f"/{vid}?properties=email")
            raise

    def _create(self, email):
        try:
            return self._call("POST", "", email)
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            return self._find(email)

    def _find(self, email):
        # By a batch of one: an address with an email in it ends up in logs.
        return self._send("POST", "/batch/read", {"idProperty": "email", "inputs": [{"id": email}], "properties": ["email"]})

    def _call(self, method, path, email=None):
        return self._send(method, path, {"properties": {"email": email}} if email else None)

    def _send(self, method, path, content):
        body = json.dumps(content).encode() if content else None
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        request = urllib.request.Request(self.url + CONTACTS + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()
