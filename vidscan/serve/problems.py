"""How a request is refused: one JSON object with a stable code and a line for people."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse


class RefusedError(Exception):
    """A request that is not carried out.

    Parameters
    ----------
    status
        HTTP status.
    code, message
        See :class:`vidscan.serve.models.ErrorDetail`.
    headers
        Further headers of the answer.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def response(self) -> JSONResponse:
        """What the client gets."""
        body = {"error": {"code": self.code, "message": self.message}}
        return JSONResponse(body, self.status, self.headers)
