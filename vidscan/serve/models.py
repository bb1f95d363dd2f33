"""What goes over the wire, beside the report itself (:class:`vidscan.types.Report`)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vidscan.types import Label

State = Literal["queued", "running", "done", "failed"]
CallbackState = Literal["waiting", "delivered", "given_up"]


class JobOptions(BaseModel):
    """What may be asked of a job, in a form or as JSON."""

    model_config = ConfigDict(extra="forbid")

    page: bool = Field(
        default=True, description="Make report.html, which takes a second reading of the clip."
    )
    masks: bool = Field(default=False, description="Make a mask picture for every frame with a face.")
    callback_url: str | None = Field(
        default=None, max_length=2048, description="Where the finished job is sent; has to be allowed."
    )


class PathJob(JobOptions):
    """A file that the server can read itself."""

    path: str = Field(min_length=1, max_length=4096, description="Absolute, under one of --allow-root.")


class Callback(BaseModel):
    """What became of a job's callback."""

    url: str
    state: CallbackState
    tries: int


class ErrorDetail(BaseModel):
    """A stable code, and one line for people."""

    code: str
    message: str


class Problem(BaseModel):
    """What every refused request answers."""

    error: ErrorDetail


class Job(BaseModel):
    """One clip or picture on its way, and what came of it."""

    id: str = Field(pattern="^[0-9a-f]{32}$")
    name: str = Field(description="The file's name as the client told it, without folders; or its path here.")
    state: State = Field(description="failed: it could not be scanned; the report says why.")
    progress: float | None = Field(description="Share scanned, 0 to 1, while it is running.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    bytes: int | None
    sha256: str | None
    label: Label | None = Field(description="The verdict, once there is one.")
    headline: str | None = Field(description="The verdict in one sentence.")
    score: float | None = Field(description="0 genuine to 1 manipulated.")
    error_code: str | None = Field(description="Why it could not be scanned.")
    page: bool = Field(description="Whether report.html has pictures.")
    masks: bool = Field(description="Whether there are masks to be had.")
    expired: bool = Field(description="Its upload, pictures and masks have been deleted; the report stays.")
    callback: Callback | None


class JobList(BaseModel):
    """What changed."""

    jobs: list[Job] = Field(description="In order of their last change; those that run are always told.")
    deleted: list[str] = Field(description="Ids of jobs that were deleted.")
    next: int = Field(description="What to ask for with since= the next time.")
    more: bool = Field(description="Whether there is more to be had at once.")


class Health(BaseModel):
    """Whether jobs are being scanned."""

    status: Literal["ok", "failing"]
    version: str
