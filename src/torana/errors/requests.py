"""The request is at fault."""

from __future__ import annotations

from collections.abc import Mapping

from torana.errors.base import ToranaError


class InvalidRequest(ToranaError):
    """The request is malformed."""

    status = 400
    code = "invalid_request"
    kind = "invalid_request_error"


class InvalidJson(InvalidRequest):
    """The body is not JSON, or not the JSON that is wanted."""

    code = "invalid_json"


class NotAuthenticated(ToranaError):
    """No usable credential came with the request."""

    status = 401
    code = "invalid_api_key"
    kind = "invalid_request_error"


class KeyRevoked(NotAuthenticated):
    """The credential was good once."""

    code = "api_key_revoked"


class PermissionDenied(ToranaError):
    """The caller is known and may not do this."""

    status = 403
    code = "permission_denied"
    kind = "invalid_request_error"


class NotFound(ToranaError):
    """What was asked for does not exist, or not for this caller."""

    status = 404
    code = "not_found"
    kind = "invalid_request_error"


class ModelNotFound(NotFound):
    """No provider here serves the model."""

    code = "model_not_found"


class ResponseNotFound(NotFound):
    """No answer is kept under this id, or not for this caller."""

    code = "response_not_found"


class MethodNotAllowed(ToranaError):
    """The path exists, with other methods."""

    status = 405
    code = "method_not_allowed"
    kind = "invalid_request_error"

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(ToranaError):
    """The request does not fit the present state."""

    status = 409
    code = "conflict"
    kind = "invalid_request_error"


class BodyTooLarge(ToranaError):
    """The body is over the limit."""

    status = 413
    code = "request_too_large"
    kind = "invalid_request_error"


class UnsupportedMediaType(ToranaError):
    """The body is of a type that this route does not read."""

    status = 415
    code = "unsupported_media_type"
    kind = "invalid_request_error"


class ValidationFailed(ToranaError):
    """A management request breaks its schema.

    Args:
        problems: one mapping per problem with `field` and `message`.
    """

    status = 422
    code = "validation_failed"
    kind = "invalid_request_error"

    def __init__(self, message: str, *, problems: tuple[Mapping[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class HostNotAllowed(InvalidRequest):
    """A provider would be at a private address that nobody has allowed."""

    code = "host_not_allowed"


class NoTargetFits(InvalidRequest):
    """None of a route's targets may answer a call such as this one."""

    code = "no_target_fits"
    should_retry = False


class GuardrailBlocked(InvalidRequest):
    """A guardrail does not let a prompt or an answer pass; its words are never told."""

    code = "guardrail_blocked"
    should_retry = False


class TranslationLoss(ToranaError):
    """The model's provider speaks another dialect, which can't say all of the request.

    Args:
        names: of what would be lost.
    """

    status = 400
    code = "translation_loss"
    kind = "invalid_request_error"
    should_retry = False

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(
            f"This model's provider can't be told: {', '.join(names)}.",
            hint="Leave it out, or do without 'x-torana-strict'; docs/translation.md lists losses.",
        )
        self.names = names
