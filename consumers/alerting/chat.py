"""A channel of the Apprise library: chats, e-mail, pagers, by URL."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from consumers.alerting.refused import Refused
from consumers.alerting.wording import LONGEST, text_of, title_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from apprise import AppriseAttachment, NotifyBase, NotifyLogEntry, NotifyType

    from consumers.alerting.settings import Channel
    from consumers.contracts.notification import Notification

SHORTEST_SECRET = 4
DETAIL_CHARACTERS = 200
UNESCAPED = 0.8
"""Share of a message that a text may be where Apprise escapes some of its letters."""


def open_chat(channel: Channel) -> Callable[[Notification], None]:
    """What sends a notification in words; raises Refused when it is not taken, for good when the URL is wrong."""
    import apprise  # noqa: PLC0415  # half a second that a worker without such channels need not wait

    _silence()
    url = "" if channel.apprise is None else channel.apprise.get_secret_value()
    plugin = _plugin(url, channel.timeout_seconds)

    def send(notification: Notification) -> None:
        if plugin is None:
            raise Refused("refused", "Apprise does not know such a URL", final=True)
        told: list[str] = []

        def note(entry: NotifyLogEntry, _service: Any) -> None:
            if entry.level in {"WARNING", "ERROR", "CRITICAL"}:
                told.append(entry.message)

        title = title_of(notification)
        sender = apprise.Apprise()
        sender.add(plugin)
        taken = sender.notify(
            title=title,
            body=text_of(notification, room_of(plugin, title)),
            notify_type=_type(notification),
            body_format=apprise.NotifyFormat.TEXT,
            attach=_attached(notification),
            log_callback=note,
        )
        if not taken:
            raise Refused("refused", redacted("; ".join(told) or "not taken", url)[:DETAIL_CHARACTERS])

    return send


def is_known_url(channel: Channel) -> bool:
    """Whether Apprise can make something of the channel's URL."""
    _silence()
    url = "" if channel.apprise is None else channel.apprise.get_secret_value()
    return _plugin(url, channel.timeout_seconds) is not None


def room_of(plugin: NotifyBase, title: str) -> int:
    """Characters of a text that the plugin's service takes beside this title."""
    from apprise import NotifyFormat, OverflowMode  # noqa: PLC0415

    if plugin.overflow_mode == OverflowMode.SPLIT:
        return LONGEST
    room = int(plugin.body_maxlen - plugin.overflow_buffer)
    if plugin.title_maxlen <= 0 or plugin.overflow_amalgamate_title:
        room -= len(title) + int(plugin.overflow_max_display_count_width)
    formats = plugin.notify_format if isinstance(plugin.notify_format, tuple) else (plugin.notify_format,)
    return max(0, room if NotifyFormat.TEXT in formats else int(room * UNESCAPED))


def redacted(text: str, url: str) -> str:
    """A line of the library without the parts of the URL, which are passwords and tokens more often than not."""
    parts = {part for part in re.split(r"[:/@?&=,]+", url) if len(part) >= SHORTEST_SECRET}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "***")
    return " ".join(text.split())


def _plugin(url: str, timeout: float) -> NotifyBase | None:
    import apprise  # noqa: PLC0415

    asset = apprise.AppriseAsset(secure_logging=True, storage_mode=apprise.PersistentStoreMode.MEMORY)
    asset.app_id = asset.app_desc = "Shoal"
    plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin is not None:
        plugin.socket_connect_timeout = plugin.socket_read_timeout = timeout
        if "overflow_mode" not in vars(plugin):
            # a service refuses what is too long each time; the URL may say what else is to be done with it
            plugin.overflow_mode = apprise.OverflowMode.TRUNCATE
    return plugin


def _attached(notification: Notification) -> AppriseAttachment | None:
    """The thumbnails; a channel that takes no files leaves them out."""
    from apprise import AppriseAttachment  # noqa: PLC0415
    from apprise.attachment.memory import AttachMemory  # noqa: PLC0415

    found = [notice.thumbnail for notice in notification.notices if notice.thumbnail is not None]
    files = [
        AttachMemory(content=one.data, name="blurred.jpg", mimetype=one.media_type)  # type: ignore[no-untyped-call]
        for one in found
    ]
    return AppriseAttachment(files) if files else None


def _type(notification: Notification) -> NotifyType:
    import apprise  # noqa: PLC0415

    if notification.kind in {"test", "retraction"}:
        return apprise.NotifyType.INFO
    return apprise.NotifyType.FAILURE if notification.severity == "critical" else apprise.NotifyType.WARNING


def _silence() -> None:
    """What the library logs may name what the URL holds; what matters of it comes back with the result."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
