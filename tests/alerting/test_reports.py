"""A notification as a report of Coop or Ozone is what their APIs take."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from consumers.alerting.refused import Refused
from consumers.alerting.reports import REASON_CHARACTERS, body_of, ozone_subject
from consumers.alerting.settings import Channel
from tests.alerting.notices import notice, notification, post
from tests.servers import ROOT

DID = "did:plc:z72i7abcd23efgh45ijklmno"
RECORD = f"at://{DID}/app.bsky.feed.post/3k43tv4rft22g#bafyreieqq463374bbcbeq7gpmet5rvrpeqow6t4rtjzrkhnlumdylagaqa"

ITEM = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "data": {"type": "object"},
        "typeId": {"type": "string"},
        "typeVersion": {"type": "string"},
        "typeSchemaVariant": {"enum": ["original", "partial"]},
    },
    "required": ["id", "data", "typeId"],
}
COOP = {
    "type": "object",
    "properties": {
        "reporter": {
            "type": "object",
            "properties": {"kind": {"enum": ["user"]}, "typeId": {"type": "string"}, "id": {"type": "string"}},
            "required": ["kind", "typeId", "id"],
        },
        "reportedAt": {"type": "string"},
        "reportedForReason": {
            "type": "object",
            "properties": {
                "policyId": {"type": ["string", "null"]},
                "reason": {"type": ["string", "null"]},
                "csam": {"type": ["boolean", "null"]},
            },
            "additionalProperties": False,
        },
        "reportedItem": ITEM,
        "additionalItems": {"type": "array", "items": ITEM},
    },
    "required": ["reporter", "reportedAt", "reportedItem"],
    "additionalProperties": False,
}
"""What POST /api/v1/report takes: github.com/roostorg/coop, server/routes/reporting/ReportingRoutes.ts."""

SUBJECT = {
    "oneOf": [
        {
            "properties": {
                "$type": {"const": "com.atproto.repo.strongRef"},
                "uri": {"type": "string", "pattern": "^at://did:"},
                "cid": {"type": "string", "pattern": "^b[a-z2-7]{58}$"},
            },
            "required": ["$type", "uri", "cid"],
            "additionalProperties": False,
        },
        {
            "properties": {"$type": {"const": "com.atproto.admin.defs#repoRef"}, "did": {"pattern": "^did:"}},
            "required": ["$type", "did"],
            "additionalProperties": False,
        },
    ]
}
REASON_TYPE = {"type": "string", "pattern": "^[a-z.]+\\.defs#reason[A-Z]"}
CREATE_REPORT = {
    "type": "object",
    "properties": {
        "reasonType": REASON_TYPE,
        "reason": {"type": "string", "maxLength": 2000},
        "subject": SUBJECT,
    },
    "required": ["reasonType", "subject"],
    "additionalProperties": False,
}
"""The input of com.atproto.moderation.createReport: github.com/bluesky-social/atproto, lexicons/com/atproto."""

EMIT_EVENT = {
    "type": "object",
    "properties": {
        "event": {
            "oneOf": [
                {
                    "properties": {
                        "$type": {"const": "tools.ozone.moderation.defs#modEventReport"},
                        "comment": {"type": "string"},
                        "reportType": REASON_TYPE,
                    },
                    "required": ["$type", "reportType"],
                    "additionalProperties": False,
                },
                {
                    "properties": {
                        "$type": {
                            "enum": [
                                "tools.ozone.moderation.defs#modEventEscalate",
                                "tools.ozone.moderation.defs#modEventComment",
                            ]
                        },
                        "comment": {"type": "string"},
                    },
                    "required": ["$type", "comment"],
                    "additionalProperties": False,
                },
            ]
        },
        "subject": SUBJECT,
        "createdBy": {"type": "string", "pattern": "^did:"},
    },
    "required": ["event", "subject", "createdBy"],
    "additionalProperties": False,
}
"""The input of tools.ozone.moderation.emitEvent: the same repository, lexicons/tools/ozone."""

SCHEMAS: dict[str, dict[str, Any]] = {"coop": COOP, "ozone-report": CREATE_REPORT, "ozone-event": EMIT_EVENT}
CHANNELS: dict[str, Channel] = {
    name: Channel.model_validate(
        {
            "name": "reports",
            "webhook": "http://127.0.0.1:1/",
            "format": name,
            "coop": {
                "reporter_id": "shoal",
                "reporter_type": "a1b2c3",
                "item_type": "d4e5f6",
                "policies": {"scam": "0a1b2c3d4e"},
                "fields": {"campaign": "{campaign}", "flag": "{flag_id}", "console": "https://m.example/{post_id}"},
            },
            "ozone": {"created_by": DID, "reasons": {"scam": "com.atproto.moderation.defs#reasonMisleading"}},
        }
    )
    for name in SCHEMAS
}


def body(name: str, **fields: Any) -> dict[str, Any]:
    posts = (post(1, post_id=f"at://{DID}/app.bsky.feed.post/3k43tv4rft22f"), post(2, post_id=RECORD))
    made = body_of(notification(notice(1, **({"posts": posts} | fields))), CHANNELS[name])
    assert made is not None
    return json.loads(made)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_report_is_what_the_api_takes_and_the_example_of_the_docs(name: str) -> None:
    example = ROOT / "docs" / "examples" / "alerts" / f"{name}.json"
    made = body(name)
    jsonschema.validate(made, SCHEMAS[name])
    assert json.loads(example.read_text()) == made, f"{example}:\n{json.dumps(made, indent=2)}"


@pytest.mark.parametrize("kind", ["escalation", "retraction", "digest"])
def test_every_kind_is_an_event_that_ozone_takes(kind: str) -> None:
    made = body("ozone-event", kind=kind)
    jsonschema.validate(made, EMIT_EVENT)
    names = {"escalation": "modEventEscalate", "retraction": "modEventComment", "digest": "modEventReport"}
    assert made["event"]["$type"].endswith(names[kind])


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_report_says_why_and_never_more_than_fits(name: str) -> None:
    made = body(name, links={f"link-{number}": "x" * 500 for number in range(10)})
    jsonschema.validate(made, SCHEMAS[name])
    reason = made["reportedForReason"]["reason"] if name == "coop" else made.get("reason") or made["event"]["comment"]
    assert "cluster 0-1, similarity 0.91 (image 0.41, text 0.50); exemplar exemplar-1 at 0.95" in reason
    assert len(reason) == REASON_CHARACTERS


def test_a_policy_that_coop_does_not_know_is_told_in_words_alone() -> None:
    made = body("coop", policy="spam")
    assert "policyId" not in made["reportedForReason"]
    assert "spam" in made["reportedForReason"]["reason"]


def test_an_id_names_a_record_or_an_account_or_nothing() -> None:
    uri, _, cid = RECORD.partition("#")
    assert ozone_subject(RECORD) == {"$type": "com.atproto.repo.strongRef", "uri": uri, "cid": cid}
    assert ozone_subject(uri)["did"] == ozone_subject(DID)["did"] == DID
    for stranger in ("post-1", "at://handle.example/app.bsky.feed.post/1", ""):
        with pytest.raises(Refused) as caught:
            ozone_subject(stranger)
        assert caught.value.final
