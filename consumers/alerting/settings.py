"""The settings of alerting: where notifications go, when, and what is in them."""

from __future__ import annotations

from datetime import time  # noqa: TC003  # pydantic reads annotations when it runs
from string import Formatter
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from standardwebhooks import Webhook

from consumers.section import Section

Severity = Literal["low", "medium", "high", "critical"]
Kind = Literal["first", "digest", "escalation", "retraction", "summary"]
Format = Literal["shoal", "coop", "ozone-report", "ozone-event"]

LINK_FIELDS = ("bundle", "policy", "severity", "campaign", "cluster_id", "post_id", "flag_id", "exemplar")
"""What a link's template may name."""


class CoopReports(Section):
    """How a notification becomes a report of Roost's Coop.

    Attributes:
        reporter_id, reporter_type: the user of Coop that reports, and the id of that user's item type.
        item_type: the id of the item type of posts.
        policies: policy -> id of Coop's policy; one that is absent is told in the reason alone.
        fields: field of the item type -> template, as in links; values are encoded where it is a URL. An item type's
            required fields must be here.
    """

    reporter_id: str
    reporter_type: str
    item_type: str
    policies: dict[str, str] = {}
    fields: dict[str, str] = {}

    @field_validator("fields")
    @classmethod
    def _known_fields(cls, fields: dict[str, str]) -> dict[str, str]:
        for template in fields.values():
            require_template(template)
        return fields


class OzoneReports(Section):
    """How a notification becomes a report or a moderation event of Bluesky's Ozone.

    Attributes:
        created_by: DID in whose name events are written; `ozone-event` needs it.
        reasons: policy -> reason type, such as `com.atproto.moderation.defs#reasonSpam`.
        reason: the reason type of every other policy.
    """

    created_by: str | None = None
    reasons: dict[str, str] = {}
    reason: str = "com.atproto.moderation.defs#reasonOther"


class AllowedThumbnails(Section):
    """Of which notices a channel may get a blurred thumbnail; of none, unless something is named here.

    Attributes:
        severities, policies: a notice must be of one of each; of the two, one that is empty leaves it to the other.
    """

    severities: tuple[Severity, ...] = ()
    policies: tuple[str, ...] = ()

    @property
    def some(self) -> bool:
        """Whether there is any notice of which one is allowed."""
        return bool(self.severities or self.policies)

    def allow(self, severity: str, policy: str) -> bool:
        """Whether one is allowed of a notice of this severity and policy."""
        return (
            self.some
            and (not self.severities or severity in self.severities)
            and (not self.policies or policy in self.policies)
        )


class Channel(Section):
    """One receiver of notifications, with a queue and retries of its own.

    Attributes:
        name: in logs, metrics and dead letters.
        webhook: URL that takes JSON by POST.
        apprise: URL of the Apprise library: `slack://`, `mailtos://`, `pagerduty://` and a hundred more.
        secrets: sign a webhook's body (`whsec_` and base64, or base64 alone); while a secret is replaced, the new and
            the old one. Without any, bodies are not signed.
        format: of a webhook's body: our own, a report of Coop, or a report or event of Ozone.
        headers: sent along with a webhook, such as `X-API-KEY`.
        severities, policies, kinds: what the channel is told of; empty means everything.
        thumbnails: of which notices it also gets the flagged image, blurred beyond recognition.
        timeout_seconds: limit of one attempt.
        patience_seconds: a notification that could not be sent for so long is a dead letter.
        coop, ozone: what those formats need.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    webhook: SecretStr | None = None
    apprise: SecretStr | None = None
    secrets: tuple[SecretStr, ...] = ()
    format: Format = "shoal"
    headers: dict[str, SecretStr] = {}
    severities: tuple[Severity, ...] = ()
    policies: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    thumbnails: AllowedThumbnails = AllowedThumbnails()
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 10.0
    patience_seconds: Annotated[float, Field(gt=0)] = 3600.0
    coop: CoopReports | None = None
    ozone: OzoneReports = OzoneReports()

    @field_validator("webhook")
    @classmethod
    def _is_http(cls, url: SecretStr | None) -> SecretStr | None:
        parts = None if url is None else urlsplit(url.get_secret_value())
        if parts is not None and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValueError("must be a URL of http:// or https://")
        return url

    @field_validator("secrets")
    @classmethod
    def _can_sign(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            try:
                Webhook(secret.get_secret_value())
            except Exception as error:
                raise ValueError("must be base64, with or without whsec_ before it") from error
        return secrets

    @model_validator(mode="after")
    def _consistent(self) -> Channel:
        if (self.webhook is None) == (self.apprise is None):
            raise ValueError(f"channel {self.name}: give either webhook or apprise")
        if self.apprise is not None and (self.secrets or self.headers or self.format != "shoal"):
            raise ValueError(f"channel {self.name}: secrets, headers and format are for webhooks")
        if self.thumbnails.some and self.format != "shoal":
            raise ValueError(f"channel {self.name}: reports hold no thumbnails")
        if self.format == "coop" and self.coop is None:
            raise ValueError(f"channel {self.name}: format coop needs coop")
        if self.format == "ozone-event" and self.ozone.created_by is None:
            raise ValueError(f"channel {self.name}: format ozone-event needs ozone.created_by")
        return self


class QuietHours(Section):
    """Hours in which some severities wait; what waited is told in one summary at their end.

    Attributes:
        severities: that wait. The others are told at any hour.
        start, end: local times such as 22:00; an end before the start is on the next day.
        zone: IANA name of the time zone.
        days: on which they begin, 0 is Monday; every day when empty.
    """

    severities: tuple[Severity, ...] = ("low", "medium")
    start: time
    end: time
    zone: str = "UTC"
    days: tuple[Annotated[int, Field(ge=0, le=6)], ...] = ()

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("must be an IANA time zone such as Europe/Berlin") from error
        return zone

    @model_validator(mode="after")
    def _last(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError("start and end must differ")
        return self


class Alert(Section):
    """Telling moderators of flags. Without channels nobody is told.

    Attributes:
        channels: the receivers.
        digest_seconds: a campaign that has been told of is told of again so often at most, with counts.
        escalation_flags, escalation_seconds: a campaign with so many live flags in so many seconds is told of at
            once, and again each time that number doubles; 0 flags: never.
        retraction_seconds: how long retractions are gathered before they are told.
        summary_above, summary_seconds: more campaigns than this due at once are told of in one summary. Where so many
            of a policy were told of in so many seconds, the next ones wait until that is over, and are one summary
            then; those of severity critical do not wait.
        shadow: also tell of flags of policies in shadow mode.
        quiet: hours in which some severities wait.
        links: name -> template of a URL, as in `https://moderation.example/campaigns/{campaign}`.
        lookback_seconds: where nothing has been read yet, begin with flags that are so old.
        forget_seconds: a campaign without flags for so long is a new one when it comes back.
        campaigns: kept at once; beyond it the quietest are told of and forgotten.
        remembered_flags: kept to see repetitions and which flags a retraction takes back.
        queue: notifications that may wait for one channel; one more is a dead letter.
        first_pause_seconds, longest_pause_seconds: between attempts, doubled each time; a receiver's Retry-After
            counts up to the longest.
        lease_seconds: another process takes over when this one has been silent for so long.
    """

    channels: tuple[Channel, ...] = ()
    digest_seconds: Annotated[float, Field(gt=0)] = 900.0
    escalation_flags: Annotated[int, Field(ge=0)] = 100
    escalation_seconds: Annotated[float, Field(gt=0)] = 600.0
    retraction_seconds: Annotated[float, Field(ge=0)] = 60.0
    summary_above: Annotated[int, Field(gt=0)] = 10
    summary_seconds: Annotated[float, Field(ge=0)] = 60.0
    shadow: bool = False
    quiet: tuple[QuietHours, ...] = ()
    links: dict[str, str] = {}
    lookback_seconds: Annotated[float, Field(ge=0)] = 3600.0
    forget_seconds: Annotated[float, Field(gt=0)] = 7 * 86_400.0
    campaigns: Annotated[int, Field(gt=0)] = 10_000
    remembered_flags: Annotated[int, Field(gt=0)] = 100_000
    queue: Annotated[int, Field(gt=0)] = 1_000
    first_pause_seconds: Annotated[float, Field(gt=0)] = 1.0
    longest_pause_seconds: Annotated[float, Field(gt=0)] = 300.0
    lease_seconds: Annotated[float, Field(ge=2)] = 15.0

    @field_validator("links")
    @classmethod
    def _known_fields(cls, links: dict[str, str]) -> dict[str, str]:
        for template in links.values():
            require_template(template)
        return links

    @model_validator(mode="after")
    def _distinct(self) -> Alert:
        names = [channel.name for channel in self.channels]
        if len(set(names)) < len(names):
            raise ValueError("two channels have the same name")
        return self


def require_template(template: str) -> None:
    """Refuse a template that names what a notification does not have.

    Raises:
        ValueError: with what it may name.
    """
    for _, name, form, conversion in Formatter().parse(template):
        if name is not None and (name not in LINK_FIELDS or form or conversion):
            raise ValueError(f"a template may name {', '.join(f'{{{one}}}' for one in LINK_FIELDS)}")
