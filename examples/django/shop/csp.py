"""A nonce for every page, under the name that django-csp gives it, which the template tag knows."""

import secrets


class ContentSecurityPolicyMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        nonce = request.csp_nonce = secrets.token_urlsafe(16)
        response = self.get_response(request)
        policy = f"script-src 'nonce-{nonce}' 'strict-dynamic'; img-src 'self' https://track.hubspot.com"
        response["Content-Security-Policy"] = policy
        return response
