"""Posts of a platform whose people have words of their own for what is in their pictures.

No encoder was trained on these words, so a caption does not find its picture until something is learned.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

from consumers.contracts.post import Media, Post
from consumers.posts.produce import encode_post
from models.synthetic import images
from models.synthetic.encoding import encode_jpeg

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 128


def write_posts(path: Path, count: int, seed: int) -> None:
    """Write `count` posts of a caption and a picture as JSON lines."""
    rng = np.random.default_rng([seed, 5])
    with path.open("wb") as file:
        for number in range(count):
            picture = images.generate_image(rng, SIDE)
            words = dict.fromkeys((*picture.colours, picture.scene, *picture.objects))
            caption = " ".join(word[::-1] for phrase in words for word in phrase.split())
            data = base64.b64encode(encode_jpeg(picture.pixels, 85)).decode()
            post = Post(post_id=f"post-{seed}-{number}", caption=caption, media=(Media(kind="image", data=data),))
            file.write(encode_post(post)[1] + b"\n")
