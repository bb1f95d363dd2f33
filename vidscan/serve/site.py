"""The pages of the service, and how a browser signs in."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response
from starlette.responses import RedirectResponse

from vidscan.serve import guard, pages
from vidscan.serve.service import Service
from vidscan.serve.uploads import body


class Site:
    """The pages for people."""

    def __init__(self, service: Service, app: FastAPI) -> None:
        self._settings, self._app = service.settings, app

    def queue(self) -> Response:
        """The page at the root."""
        return self._answer(pages.queue_page(self._settings))

    def docs(self) -> Response:
        """The interface in words."""
        return self._answer(pages.docs_page(self._app.openapi()))

    def sign_in(self) -> Response:
        """Where a browser leaves the token."""
        if self._settings.token is None:
            return RedirectResponse(".", 303)
        return self._answer(pages.login_page(wrong=False))

    async def signed_in(self, request: Request) -> Response:
        """Gives a browser its cookie."""
        text = b"".join([chunk async for chunk in body(request, 4096, self._settings.patience_s)])
        fields = parse_qs(text.decode("utf-8", "replace"))
        token = self._settings.token
        if token is None:
            return RedirectResponse(".", 303)
        if not guard.is_token(fields.get("token", [""])[0].strip(), token):
            return self._answer(pages.login_page(wrong=True), 403)
        response = RedirectResponse(".", 303)
        response.set_cookie(
            guard.COOKIE,
            guard.new_session(token),
            max_age=guard.SESSION_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    def sign_out(self) -> Response:
        """Takes the cookie back."""
        response = RedirectResponse("login", 303)
        response.delete_cookie(guard.COOKIE, httponly=True, samesite="strict")
        return response

    def _answer(self, text: str, status: int = 200) -> Response:
        return pages.answer(text, *pages.SCRIPT_AND_LOOK, status=status)
