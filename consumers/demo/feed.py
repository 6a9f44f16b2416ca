"""The simulated stream on its way into Kafka: made in a thread, written at a steady rate, held back when need be."""

from __future__ import annotations

import base64
import threading
import time
from typing import TYPE_CHECKING

from consumers.contracts.post import Media, Post
from consumers.demo.tally import Sent
from consumers.embedded import PARTITION_BYTES, PARTITIONS
from consumers.posts.produce import PostWriter, encode_post
from models.synthetic.posts import StreamPlan, SyntheticPost, generate_stream

if TYPE_CHECKING:
    from consumers.demo.tally import Tally
    from consumers.settings import Settings

MOST_UNDECIDED = 64
"""Posts on their way at most; beyond it the stream waits for the consumers."""

MOST_BYTES = PARTITION_BYTES // 2
"""The same for the bytes of a partition: the embedded broker forgets what is older than its limit."""

MOST_BEHIND_SECONDS = 0.2
"""After a hold-up the stream catches up on so much; more would be a burst."""

PAUSE_SECONDS = 0.01
JOIN_SECONDS = 30.0


def post_of(made: SyntheticPost) -> Post:
    """A post of the stream as a platform would publish it, media inline."""
    files = [("image", file) for file in made.images] + [("audio", file) for file in made.audio]
    return Post(
        post_id=made.post_id,
        author=made.author,
        surface="demo",
        caption=made.caption,
        media=tuple(
            Media(
                media_id=f"{made.post_id}-{number}",
                kind="image" if kind == "image" else "audio",
                content_type=file.content_type,
                data=base64.b64encode(file.data).decode(),
            )
            for number, (kind, file) in enumerate(files)
        ),
    )


class Feed:
    """Writes the stream in a thread of its own.

    Attributes:
        samples: some encoded posts, kept for measuring the encoders alone.
        failure: what ended the thread early, if anything did.
    """

    def __init__(self, settings: Settings, plan: StreamPlan, tally: Tally) -> None:
        self.samples: list[bytes] = []
        self.failure: Exception | None = None
        self._plan = plan
        self._tally = tally
        self._opened, self._stop = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._undecided: dict[str, tuple[int, int]] = {}
        self._bytes = [0] * PARTITIONS
        self._writer = PostWriter(settings)
        self._thread = threading.Thread(target=self._work, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to make posts; the first is written after `open`."""
        self._thread.start()

    def open(self) -> None:
        """Let the posts go."""
        self._opened.set()

    def stop(self) -> None:
        """Write no further post."""
        self._stop.set()
        self._opened.set()

    def close(self) -> None:
        """Stop, wait for Kafka's acknowledgements and let go of the producer."""
        self.stop()
        self._thread.join(JOIN_SECONDS)
        self._writer.close()

    @property
    def done(self) -> bool:
        """Whether nothing more is written."""
        return not self._thread.is_alive()

    @property
    def undecided(self) -> int:
        """Posts written whose decision has not been seen."""
        with self._lock:
            return len(self._undecided)

    def decided(self, post_id: str) -> None:
        """The decision on a post has been seen."""
        with self._lock:
            partition, size = self._undecided.pop(post_id, (0, 0))
            self._bytes[partition] -= size

    def _work(self) -> None:
        try:
            due = 0.0
            for number, made in enumerate(generate_stream(self._plan)):
                key, value = encode_post(post_of(made))
                self._opened.wait()
                if number % 8 == 0 and len(self.samples) < 256:
                    self.samples.append(value)
                if not self._wait_until(due, number % PARTITIONS, len(value)):
                    break
                due = max(due + 1 / self._plan.rate, time.monotonic() - MOST_BEHIND_SECONDS)
                self._remember(made, number % PARTITIONS, len(value))
                self._writer.write((key, value), number % PARTITIONS)
            self._writer.finish()
            if self._writer.refused:
                raise RuntimeError(f"posts were refused: {dict(self._writer.refused)}")
        except Exception as error:  # noqa: BLE001  # shown by the main thread, which ends the demo
            self.failure = error

    def _remember(self, made: SyntheticPost, partition: int, size: int) -> None:
        parts = ("image",) * len(made.images) + ("audio",) * len(made.audio)
        self._tally.sent[made.post_id] = Sent(made.post_id, made.caption, parts, made.truth)
        with self._lock:
            self._undecided[made.post_id] = (partition, size)
            self._bytes[partition] += size

    def _wait_until(self, due: float, partition: int, size: int) -> bool:
        """Wait for the post's time and for room; False when the stream is to stop."""
        while not self._stop.is_set():
            with self._lock:
                room = len(self._undecided) < MOST_UNDECIDED and self._bytes[partition] + size <= MOST_BYTES
            if room and time.monotonic() >= due:
                return True
            self._writer.wait(min(PAUSE_SECONDS, max(due - time.monotonic(), 0.001)))
        return False
