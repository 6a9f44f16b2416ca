"""What the chart makes of values that matter."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from consumers.run import CONSUMERS
from tests.chart.helm import environment, one, pods, refusal, rendered, templates

GPU = {"encode": {"gpu": {"enabled": True}}}
JOBS = {"topics": {"create": True}, "snapshot": {"enabled": True, "to": "s3://b/"}, "rebuild": {"cells": [0]}}
ALERT = {"alert": {"enabled": True, "existingSecret": "channels"}}
SECRETS = {
    "kafka": {"sasl": {"mechanism": "PLAIN", "existingSecret": "kafka"}},
    "redis": {"existingSecret": "redis", "usernameKey": "user"},
}


def container_of(objects: list[dict[str, Any]], component: str) -> dict[str, Any]:
    return dict(pods(objects)[component]["containers"][0])


def test_each_consumer_is_a_deployment_that_runs_it_alone() -> None:
    found = pods([each for each in rendered(ALERT) if each["kind"] == "Deployment"])
    assert {name: pod["containers"][0]["args"] for name, pod in found.items()} == {
        name: ["run", f"--only={name}"] for name in (*CONSUMERS, "alert")
    }


def test_a_workload_that_is_not_enabled_leaves_nothing_behind() -> None:
    objects = rendered({"assign": {"enabled": False}})
    assert not [each for each in objects if each["metadata"]["name"].endswith("-assign")]


def test_without_a_gpu_nothing_asks_for_one_and_the_encoders_stay_on_the_processor() -> None:
    for name, pod in pods(rendered()).items():
        assert environment(pod["containers"][0])["SHOAL_ENCODE__PROVIDER"] == "cpu", name
        assert pod["containers"][0]["resources"]["limits"].keys() == {"memory"}
        assert "runtimeClassName" not in pod


def test_a_gpu_is_for_encode_alone_which_then_fails_without_one() -> None:
    found = pods(rendered(JOBS | GPU | ALERT))
    for name, pod in found.items():
        provider = environment(pod["containers"][0])["SHOAL_ENCODE__PROVIDER"]
        devices = pod["containers"][0]["resources"]["limits"].keys() - {"memory"}
        assert (provider, devices) == (("cuda", {"nvidia.com/gpu"}) if name == "encode" else ("cpu", set()))


def test_a_mig_slice_and_a_runtime_class_are_taken_as_named() -> None:
    gpu = {"enabled": True, "resourceName": "nvidia.com/mig-2g.20gb", "runtimeClassName": "nvidia"}
    pod = pods(rendered({"encode": {"gpu": gpu}}))["encode"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/mig-2g.20gb"] == 1
    assert pod["runtimeClassName"] == "nvidia"


def test_a_gpu_may_be_used_by_tensorrt() -> None:
    found = pods(rendered({"encode": {"gpu": {"enabled": True, "provider": "tensorrt"}}}))
    providers = {name: environment(pod["containers"][0])["SHOAL_ENCODE__PROVIDER"] for name, pod in found.items()}
    assert (providers.pop("encode"), set(providers.values())) == ("tensorrt", {"cpu"})


def test_pods_are_replaced_next_first_but_with_a_gpu_last_first() -> None:
    next_first = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    last_first = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    objects = rendered(GPU)
    for name in ("assign", "route"):
        assert one(objects, "Deployment", name)["spec"]["strategy"] == next_first
    assert one(objects, "Deployment", "encode")["spec"]["strategy"] == last_first
    assert one(rendered(), "Deployment", "encode")["spec"]["strategy"] == next_first
    own = rendered(GPU | {"encode": {"gpu": {"enabled": True}, "strategy": next_first}})
    assert one(own, "Deployment", "encode")["spec"]["strategy"] == next_first


@pytest.mark.parametrize(("replicas", "cells", "refused"), [(1, 1, False), (4, 4, False), (2, 1, True), (5, 4, True)])
def test_a_cell_has_at_most_one_replica(replicas: int, cells: int, refused: bool) -> None:
    values = {"assign": {"replicas": replicas}, "settings": {"assign": {"cells": cells}}}
    if refused:
        assert f"assign.replicas is {replicas} and there are {cells} cells" in refusal(values)
    else:
        assert one(rendered(values), "Deployment", "assign")["spec"]["replicas"] == replicas


@pytest.mark.parametrize("kind", ["keda", "hpa"])
def test_scaling_ends_at_the_partitions_and_owns_the_replicas(kind: str) -> None:
    auto = {"kind": kind, "maxReplicas": 9}
    told = refusal({"encode": {"partitions": 8, "autoscaling": auto}})
    assert "maxReplicas is 9 and the posts topic has 8 partitions" in told
    objects = rendered({"encode": {"partitions": 9, "autoscaling": auto}})
    assert "replicas" not in one(objects, "Deployment", "encode")["spec"]
    scaler = one(objects, "ScaledObject" if kind == "keda" else "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == one(objects, "Deployment", "encode")["metadata"]["name"]
    assert scaler["maxReplicaCount" if kind == "keda" else "maxReplicas"] == 9


def test_more_encoders_than_partitions_are_refused() -> None:
    assert "the posts topic has 4 partitions" in refusal({"encode": {"replicas": 5}})


def test_only_keda_goes_down_to_nothing() -> None:
    assert "keda can go down to 0" in refusal({"encode": {"autoscaling": {"kind": "hpa", "minReplicas": 0}}})
    objects = rendered({"encode": {"autoscaling": {"kind": "keda", "minReplicas": 0}}})
    assert one(objects, "ScaledObject")["spec"]["minReplicaCount"] == 0


def test_keda_authenticates_with_the_secrets_of_the_workers() -> None:
    kafka = {
        "sasl": {"mechanism": "SCRAM-SHA-256", "existingSecret": "user", "passwordKey": "word"},
        "tls": {"enabled": True, "existingSecret": "tls"},
    }
    objects = rendered({"kafka": kafka, "encode": {"autoscaling": {"kind": "keda"}}})
    [trigger] = one(objects, "ScaledObject")["spec"]["triggers"]
    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha256", "enable")
    authentication = one(objects, "TriggerAuthentication")
    assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
    assert {(each["parameter"], each["name"], each["key"]) for each in authentication["spec"]["secretTargetRef"]} == {
        ("username", "user", "username"),
        ("password", "user", "word"),
        ("ca", "tls", "ca.crt"),
    }


@pytest.mark.parametrize(
    ("sasl", "tls", "protocol"),
    [("", False, "PLAINTEXT"), ("", True, "SSL"), ("PLAIN", False, "SASL_PLAINTEXT"), ("PLAIN", True, "SASL_SSL")],
)
def test_the_protocol_of_kafka_follows(sasl: str, tls: bool, protocol: str) -> None:
    kafka = {"sasl": {"mechanism": sasl, "existingSecret": "user"}, "tls": {"enabled": tls}}
    settings = one(rendered({"kafka": kafka}), "ConfigMap", "settings")["data"]["shoal.toml"]
    assert f'"security.protocol" = "{protocol}"' in settings


@pytest.mark.parametrize("name", ["sasl.mechanism", "sasl.mechanisms"])
def test_a_mechanism_of_the_properties_is_one_too(name: str) -> None:
    values = {"kafka": {"tls": {"enabled": True}}, "settings": {"kafka": {"properties": {name: "OAUTHBEARER"}}}}
    settings = one(rendered(values), "ConfigMap", "settings")["data"]["shoal.toml"]
    assert '"security.protocol" = "SASL_SSL"' in settings
    assert f'"{name}" = "OAUTHBEARER"' in settings


def test_passwords_come_from_secrets_to_those_alone_who_need_them() -> None:
    found = pods(rendered(SECRETS | JOBS | ALERT))
    kafka = {"SHOAL_KAFKA__PROPERTIES__sasl.username", "SHOAL_KAFKA__PROPERTIES__sasl.password"}
    redis = {"SHOAL_REDIS__USERNAME", "SHOAL_REDIS__PASSWORD"}
    for name, pod in found.items():
        given = environment(pod["containers"][0])
        secret = {variable for variable, value in given.items() if not isinstance(value, str)}
        channels = {"SHOAL_ALERT__CHANNELS"} if name in {"alert", "check", "topics"} else set()
        assert secret == channels | (kafka if name in {"encode", "route"} else kafka | redis), name
    assert given["SHOAL_REDIS__PASSWORD"] == {"secretKeyRef": {"name": "redis", "key": "password"}}


def test_the_whole_url_of_redis_may_come_from_a_secret() -> None:
    objects = rendered({"redis": {"existingSecret": "redis", "urlKey": "url"}})
    assert "url" not in one(objects, "ConfigMap", "settings")["data"]["shoal.toml"]
    given = environment(container_of(objects, "assign"))
    assert given["SHOAL_REDIS__URL"] == {"secretKeyRef": {"name": "redis", "key": "url"}}
    assert "SHOAL_REDIS__PASSWORD" not in given


def test_certificates_are_mounted_and_named() -> None:
    tls = {"existingSecret": "tls", "clientCertificate": True, "certificateKey": "my.crt"}
    objects = rendered({"kafka": {"tls": tls | {"enabled": True}}, "redis": {"url": "rediss://r:6379/0", "tls": tls}})
    settings = one(objects, "ConfigMap", "settings")["data"]["shoal.toml"]
    for file in ("ca.crt", "tls.crt", "tls.key"):
        assert f"/etc/shoal/kafka-tls/{file}" in settings
        assert f"/etc/shoal/redis-tls/{file}" in settings
    [volume] = [each for each in pods(objects)["assign"]["volumes"] if each["name"] == "redis-tls"]
    assert certificates(volume) == {
        "ca.crt": ("tls", "ca.crt"),
        "tls.crt": ("tls", "my.crt"),
        "tls.key": ("tls", "tls.key"),
    }


def certificates(volume: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The files of a volume, each with its secret and key."""
    secrets = [source["secret"] for source in volume["projected"]["sources"]]
    return {item["path"]: (secret["name"], item["key"]) for secret in secrets for item in secret["items"]}


def test_a_certificate_may_stand_in_another_secret_than_the_authority() -> None:
    tls = {"enabled": True, "existingSecret": "ca", "clientCertificate": True, "clientSecret": "shoal"}
    objects = rendered({"kafka": {"tls": tls}, "encode": {"autoscaling": {"kind": "keda"}}})
    [volume] = [each for each in pods(objects)["encode"]["volumes"] if each["name"] == "kafka-tls"]
    found = certificates(volume)
    assert (found["ca.crt"][0], found["tls.crt"][0], found["tls.key"][0]) == ("ca", "shoal", "shoal")
    asked = one(objects, "TriggerAuthentication")["spec"]["secretTargetRef"]
    assert {each["parameter"]: each["name"] for each in asked} == {"ca": "ca", "cert": "shoal", "key": "shoal"}
    assert "clientCertificate is not" in refusal({"redis": {"tls": {"clientSecret": "shoal"}}})


def test_a_name_may_stand_in_the_values_where_the_secret_has_but_the_password() -> None:
    kafka = {"sasl": {"mechanism": "SCRAM-SHA-512", "username": "shoal", "existingSecret": "shoal"}}
    objects = rendered({"kafka": kafka, "encode": {"autoscaling": {"kind": "keda"}}})
    name = "SHOAL_KAFKA__PROPERTIES__sasl.username"
    container = container_of(objects, "encode")
    assert environment(container)[name] == "shoal"
    authentication = one(objects, "TriggerAuthentication")["spec"]
    assert authentication["env"] == [{"parameter": "username", "name": name, "containerName": container["name"]}]
    assert [each["parameter"] for each in authentication["secretTargetRef"]] == ["password"]


def test_channels_of_alert_come_from_a_secret() -> None:
    """Also for the Job that makes topics: one of them is there for alert alone."""
    objects = rendered(ALERT | JOBS)
    for name in ("alert", "check", "topics"):
        given = environment(container_of(objects, name))
        assert given["SHOAL_ALERT__CHANNELS"] == {"secretKeyRef": {"name": "channels", "key": "channels.json"}}
    assert "SHOAL_ALERT__CHANNELS" not in environment(container_of(rendered(JOBS), "topics"))


def test_a_changed_setting_rolls_the_pods() -> None:
    def checksums(settings: dict[str, Any]) -> set[str]:
        deployments = [each for each in rendered({"settings": settings}) if each["kind"] == "Deployment"]
        return {each["spec"]["template"]["metadata"]["annotations"]["checksum/settings"] for each in deployments}

    [before], [after] = checksums({}), checksums({"encode": {"batch_posts": 64}})
    assert before != after


def test_pods_get_the_time_that_their_shutdown_takes() -> None:
    assert pods(rendered())["encode"]["terminationGracePeriodSeconds"] == 35
    assert pods(rendered({"settings": {"shutdown_seconds": 60.5}}))["assign"]["terminationGracePeriodSeconds"] == 71


def test_probes_ask_what_they_should() -> None:
    probes = {name: container_of(rendered(), name) for name in CONSUMERS}
    for container in probes.values():
        paths = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert paths == {
            "startup": {"path": "/startupz", "port": "http"},
            "liveness": {"path": "/livez", "port": "http"},
            "readiness": {"path": "/readyz", "port": "http"},
        }
        assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] >= 600


def test_a_rollout_is_not_given_up_before_a_start_is() -> None:
    for startup in ({}, {"periodSeconds": 10, "failureThreshold": 360}):
        spec = one(rendered({"probes": {"startup": startup}}), "Deployment", "encode")["spec"]
        probe = spec["template"]["spec"]["containers"][0]["startupProbe"]
        assert spec["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"]


def test_a_container_that_failed_shows_the_end_of_its_log() -> None:
    values = {"bundle": {"source": "objectStore", "objectStore": {"url": "s3://models/mine/"}}}
    for pod in pods(rendered(ALERT | JOBS | values)).values():
        for container in [*pod["initContainers"], *pod["containers"]]:
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_jobs_serve_no_probes_and_end() -> None:
    found = pods(rendered(JOBS))
    for name in ("check", "topics", "snapshot", "rebuild"):
        assert found[name]["restartPolicy"] == "Never"
        assert not [key for key in found[name]["containers"][0] if key.endswith("Probe") or key == "ports"]


def test_a_bundle_of_an_object_store_is_fetched_by_its_id_and_digest() -> None:
    store = {"url": "s3://models/mine/", "manifestSha256": "0" * 64}
    values = {"bundle": {"source": "objectStore", "id": "mine-1a2b3c4d", "objectStore": store}} | SECRETS
    pod = pods(rendered(values))["assign"]
    [fetch] = pod["initContainers"]
    assert fetch["args"] == [
        "bundle",
        "fetch",
        "s3://models/mine/",
        "/bundle/mine-1a2b3c4d",
        "--id=mine-1a2b3c4d",
        f"--sha256={'0' * 64}",
    ]
    assert all(isinstance(value, str) for value in environment(fetch).values())
    [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "bundle"]
    assert mount == {"name": "bundle", "mountPath": "/bundle", "readOnly": True}


def test_a_bundle_of_a_volume_is_mounted_read_only() -> None:
    claim = {"claimName": "bundles", "subPath": "mine"}
    objects = rendered({"bundle": {"source": "persistentVolumeClaim", "persistentVolumeClaim": claim}})
    assert 'bundle = "/bundle"' in one(objects, "ConfigMap", "settings")["data"]["shoal.toml"]
    pod = pods(objects)["encode"]
    [volume] = [each for each in pod["volumes"] if each["name"] == "bundle"]
    assert volume["persistentVolumeClaim"] == {"claimName": "bundles", "readOnly": True}
    [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "bundle"]
    assert (mount["subPath"], mount["readOnly"]) == ("mine", True)


def egress(objects: list[dict[str, Any]], component: str) -> set[int]:
    """The TCP ports that a workload may reach."""
    rules = one(objects, "NetworkPolicy", component)["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule["ports"] if port["protocol"] == "TCP"}


def test_each_workload_reaches_what_it_has_business_with_and_no_more() -> None:
    objects = rendered(ALERT | JOBS)
    assert egress(objects, "encode") == egress(objects, "route") == {53, 9092, 9093}
    assert egress(objects, "assign") == {53, 9092, 9093, 6379, 443}
    assert egress(objects, "alert") == {53, 9092, 9093, 6379, 443, 587}
    assert one(objects, "NetworkPolicy", "snapshot")["spec"]["ingress"] == []
    media = rendered({"settings": {"media": {"prefixes": ["s3://posts/"]}}})
    assert (443 in egress(media, "encode"), 443 in egress(media, "assign")) == (True, False)


def test_every_pod_stands_under_a_network_policy() -> None:
    objects = rendered(ALERT | JOBS)
    policies = {
        each["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for each in objects
        if each["kind"] == "NetworkPolicy"
    }
    assert policies == set(pods(objects))


def test_further_rules_of_the_network_count_for_every_pod() -> None:
    rules: dict[str, Any] = {
        "extraEgress": [{"ports": [{"port": 4317}]}],
        "extraIngress": [{"from": [{"podSelector": {"matchLabels": {"app": "mesh"}}}]}],
    }
    for each in rendered(ALERT | JOBS | {"networkPolicy": rules}):
        if each["kind"] == "NetworkPolicy":
            assert rules["extraEgress"][0] in each["spec"]["egress"]
            assert rules["extraIngress"][0] in each["spec"]["ingress"]


def test_a_drain_takes_one_pod_of_a_workload_at_once() -> None:
    objects = rendered()
    for name in CONSUMERS:
        budget = one(objects, "PodDisruptionBudget", name)["spec"]
        assert budget["maxUnavailable"] == 1
        labels = one(objects, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_pods_of_a_workload_are_spread() -> None:
    constraints = pods(rendered())["encode"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert {each["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in constraints} == {"encode"}


def test_rebuilding_is_a_job_for_each_cell() -> None:
    objects = rendered({"rebuild": {"cells": [1, 3], "id": "again"}, "settings": {"assign": {"cells": 4}}})
    jobs = {each["metadata"]["name"]: each for each in objects if "-rebuild-" in each["metadata"]["name"]}
    assert set(jobs) == {"night-shoal-rebuild-1-again", "night-shoal-rebuild-3-again"}
    [container] = jobs["night-shoal-rebuild-3-again"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["state", "rebuild", "3", "--patience=600", "--json"]
    assert "cell 4 and there are 4" in refusal({"rebuild": {"cells": [4]}, "settings": {"assign": {"cells": 4}}})


def test_a_job_that_waits_to_be_looked_at_does_not_change_with_the_settings() -> None:
    before, after = (
        one(rendered({"rebuild": {"cells": [0]}, "settings": {"log": {"level": level}}}), "Job", "rebuild-0-1")
        for level in ("info", "debug")
    )
    assert before == after


def test_other_settings_create_topics_by_another_job() -> None:
    def name_of(values: dict[str, Any]) -> str:
        [name] = {each["metadata"]["name"] for each in rendered(values) if "-topics-" in each["metadata"]["name"]}
        return str(name)

    before, after = (
        name_of({"topics": {"create": True}, "settings": {"topics": {"posts": name}}}) for name in ("one", "two")
    )
    assert before != after


def test_topics_are_made_with_a_partition_for_every_pod_that_may_come() -> None:
    objects = rendered({"encode": {"partitions": 12}, "route": {"partitions": 3}})
    settings = tomllib.loads(one(objects, "ConfigMap", "settings")["data"]["shoal.toml"])
    assert settings["partitions"] == {"posts": 12, "verdicts": 3}


POD: dict[str, Any] = {
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "nodeSelector": {"pool": "batch"},
    "tolerations": [{"key": "batch", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "priorityClassName": "low",
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraVolumes": [{"name": "authorities", "configMap": {"name": "authorities"}}],
    "extraVolumeMounts": [{"name": "authorities", "mountPath": "/etc/ssl/ours"}],
}
"""What may be said of every pod."""


@pytest.mark.parametrize("component", [*CONSUMERS, "alert", "topics", "snapshot", "rebuild"])
def test_a_pod_gets_what_its_values_say_of_it(component: str) -> None:
    values: dict[str, Any] = JOBS | ALERT
    template = templates(rendered(values | {component: values.get(component, {}) | POD}))[component]
    assert template["metadata"]["annotations"]["a"] == "b"
    assert template["metadata"]["labels"]["c"] == "d"
    pod = template["spec"]
    for field in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert pod[field] == POD[field]
    assert POD["extraEnv"][0] in pod["containers"][0]["env"]
    assert POD["extraVolumes"][0] in pod["volumes"]
    assert POD["extraVolumeMounts"][0] in pod["containers"][0]["volumeMounts"]


@pytest.mark.parametrize("component", [*CONSUMERS, "alert"])
def test_a_consumer_takes_hooks_and_containers_beside_it(component: str) -> None:
    own: dict[str, Any] = {
        "annotations": {"reloader.stakater.com/auto": "true"},
        "schedulerName": "batch",
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "extraInitContainers": [{"name": "before", "image": "one"}],
        "extraContainers": [{"name": "beside", "image": "two"}],
    }
    objects = rendered(ALERT | {component: ALERT.get(component, {}) | own} | {"revisionHistoryLimit": 2})
    deployment = one(objects, "Deployment", component)
    assert deployment["metadata"]["annotations"] == own["annotations"]
    assert deployment["spec"]["revisionHistoryLimit"] == 2
    pod = deployment["spec"]["template"]["spec"]
    assert pod["schedulerName"] == "batch"
    assert [each["name"] for each in pod["initContainers"]] == ["before"]
    assert [each["name"] for each in pod["containers"]] == ["shoal", "beside"]
    assert pod["containers"][0]["lifecycle"] == own["lifecycle"]


def test_common_labels_and_annotations_are_everywhere() -> None:
    watched = {kind: {"enabled": True} for kind in ("podMonitor", "rules", "dashboards")}
    common = {"commonLabels": {"team": "trust"}, "commonAnnotations": {"cost": "42"}, "monitoring": watched}
    objects = rendered(common | JOBS | ALERT | {"encode": {"autoscaling": {"kind": "keda"}}})
    for holder in [*objects, *templates(objects).values()]:
        assert holder["metadata"]["labels"]["team"] == "trust"
        assert holder["metadata"]["annotations"]["cost"] == "42"


def test_other_objects_come_along_with_their_templates_filled() -> None:
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{{ .Release.Name }}-other"}}
    assert one(rendered({"extraObjects": [other]}), "Secret")["metadata"]["name"] == "night-other"


def test_helm_test_looks_whether_everything_is_there() -> None:
    job = one(rendered(), "Job", "check")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["check"]
    assert job["spec"]["backoffLimit"] == 0
    assert not [each for each in rendered({"assign": {"enabled": False}}) if each["kind"] == "Job"]


def test_monitors_find_the_workers_and_only_one_may_be_had() -> None:
    both = {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}
    assert "twice" in refusal({"monitoring": both})
    objects = rendered({"monitoring": {"serviceMonitor": {"enabled": True}}})
    service, monitor = one(objects, "Service"), one(objects, "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    labels = one(objects, "Deployment", "encode")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize("kind", ["podMonitor", "serviceMonitor"])
def test_a_scrape_is_made_as_its_values_say(kind: str) -> None:
    region = {"targetLabel": "region", "replacement": "eu"}
    dropped = {"sourceLabels": ["__name__"], "regex": "python_.*", "action": "drop"}
    given = {"enabled": True, "interval": "30s", "scrapeTimeout": "20s"}
    values = {"monitoring": {kind: given | {"relabelings": [region], "metricRelabelings": [dropped]}}}
    spec = one(rendered(values), kind[0].upper() + kind[1:])["spec"]
    [endpoint] = spec.get("podMetricsEndpoints") or spec["endpoints"]
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == ("30s", "20s")
    assert endpoint["relabelings"][0]["targetLabel"] == "component"
    assert endpoint["relabelings"][1:] == [region]
    assert endpoint["metricRelabelings"] == [dropped]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"kafka": {"sasl": {"mechanism": "PLAIN"}}}, "kafka.sasl.existingSecret"),
        ({"monitoring": {"rules": {"disabled": ["ShoalAbsen"]}}}, "there is no such alert"),
        ({"kafka": {"tls": {"existingSecret": "x"}}}, "kafka.tls.enabled"),
        ({"kafka": {"tls": {"enabled": True, "clientCertificate": True}}}, "kafka.tls.existingSecret"),
        ({"redis": {"tls": {"existingSecret": "x"}}}, "rediss://"),
        ({"redis": {"urlKey": "url"}}, "redis.existingSecret"),
        ({"bundle": {"source": "persistentVolumeClaim"}}, "claimName"),
        ({"bundle": {"source": "objectStore"}}, "bundle.objectStore.url"),
        ({"snapshot": {"enabled": True}}, "settings.snapshots.location"),
        ({"alert": {"enabled": True}}, "alert.existingSecret"),
        ({"route": {"replicas": 2}}, "route.partitions"),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_the_name_to_set(
    values: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(values)
