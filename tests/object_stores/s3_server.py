"""moto's server with a bucket and a user in it; runs in the environment of `make object-stores`, which has moto.

    python s3_server.py PORT checked     every request must be signed with the user's key, which the first line tells
    python s3_server.py PORT open        no request is looked at

Google's XML API, which obstore's gs:// speaks, is the same for the requests of this store: only that clients who are
known to nobody send an empty `Authorization: Bearer`, which moto takes for a broken signature.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

port, mode = int(sys.argv[1]), sys.argv[2]
if mode == "checked":
    # moto reads it when it is imported
    os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"

from moto.core import DEFAULT_ACCOUNT_ID  # noqa: E402
from moto.iam.models import iam_backends  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402
from moto.s3.models import s3_backends  # noqa: E402
from werkzeug.serving import run_simple  # noqa: E402

BUCKET, REGION, USER = "snapshots", "us-east-1", "shoal"
ALL_OF_S3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}

iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
iam.create_user(REGION, USER)
iam.put_user_policy(USER, "all", json.dumps(ALL_OF_S3))
key = iam.create_access_key(USER)
s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, REGION)
print(key.access_key_id, key.secret_access_key, flush=True)  # noqa: T201  # for whoever started it

server = DomainDispatcherApplication(create_backend_app)


def answer(environ: dict[str, Any], start_response: Any) -> Any:
    """Let moto answer, without what says nothing."""
    if environ.get("HTTP_AUTHORIZATION", "").strip() == "Bearer":
        del environ["HTTP_AUTHORIZATION"]
    return server(environ, start_response)


run_simple("127.0.0.1", port, answer, threaded=True)
