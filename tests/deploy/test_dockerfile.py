"""What deploy/Dockerfile says is done, line by line, and what it makes runs for nobody on a read-only file system.

There is no container engine here. Each RUN line runs as it stands, with its own paths, in a mount namespace in which
/opt is a folder of the test; COPY lines are done by the test; what the run image says is how the command is started.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pathspec
import pytest
from dockerfile_parse import DockerfileParser

from consumers.settings import Kafka, Redis
from tests.bundles import write_tiny_bundle
from tests.integration.platform import Platform, Worker, make_topics, platform_settings
from tests.servers import ROOT, Missing, free_port

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
NOBODY = "65532"
BUILD_SECONDS = 600

# the first test that wants the image builds it
pytestmark = pytest.mark.timeout(2 * BUILD_SECONDS)
BASE = f'mount --bind "{sys.base_prefix}" /srv && '
"""The interpreter that stands in for the base image's: it may be installed in a home, which nobody may enter."""

ITS_LIBRARY = "LD_LIBRARY_PATH=/srv/lib"
"""Its shared library may be linked by a path in that home."""

ENTER = BASE + 'mount --bind "$1" /opt && mkdir -p /opt/cache && mount --bind "$2" /opt/cache && shift 2 && exec "$@"'
READ_ONLY = (
    BASE + 'mount --bind "$1" /opt && mount -o remount,bind,ro /srv && mount -o remount,bind,ro /opt '
    "&& mount -o remount,bind,ro / "
    "&& mount -t tmpfs -o mode=1777 none /tmp && cd /tmp && shift "
    f"&& exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --no-new-privs --bounding-set=-all "
    '--inh-caps=-all "$@"'
)


@dataclass
class Stage:
    """A stage of the Dockerfile: what it is made from, and its instructions with those of its parents."""

    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for instruction, value in self.instructions if instruction == name]


def read_stages() -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for part in DockerfileParser(path=str(DOCKERFILE)).structure:
        instruction, value = part["instruction"], part["value"]
        if instruction == "FROM":
            parent, _, name = value.split()
            stages[name] = Stage(parent, list(stages[parent].instructions) if parent in stages else [])
        elif instruction not in {"COMMENT", "ARG"}:
            next(reversed(stages.values())).instructions.append((instruction, value))
    return stages


STAGES = read_stages()
IGNORED = pathspec.PathSpec.from_lines("gitignore", (ROOT / ".dockerignore").read_text().splitlines())


def environment(stage: Stage) -> dict[str, str]:
    found = {"PATH": os.defpath}
    for line in stage.all("ENV"):
        for name, _, value in (word.partition("=") for word in shlex.split(line)):
            found[name] = value.replace("$PATH", found["PATH"])
    return found


def command_of(line: str) -> str:
    """The shell's part of a RUN line, without the engine's options."""
    return re.sub(r"^(--\S+\s+)+", "", line)


def copied(line: str) -> tuple[list[str], str]:
    *sources, target = [word for word in line.split() if not word.startswith("--")]
    return sources, target


@pytest.fixture(scope="module")
def namespaces() -> None:
    """The right to mount something for one process alone."""
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if done.returncode or os.getuid():
        raise Missing("no right to make mount namespaces: the Dockerfile's lines need root")


@pytest.fixture(scope="module")
def image(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/opt after every line of the stages `build` and `build-cpu`."""
    folder = tmp_path_factory.mktemp("opt")
    source, base = folder / "source", folder / "base"
    source.mkdir()
    base.mkdir()
    (base / "python").write_text(f'#!/bin/sh\nexec /srv/bin/python{sys.version_info[0]}.{sys.version_info[1]} "$@"\n')
    (base / "python").chmod(0o755)
    variables = of_the_build("build-cpu") | {"PATH": f"/opt/base:{os.environ['PATH']}"}
    for instruction, value in STAGES["build-cpu"].instructions:
        if instruction == "COPY":
            copy_into(source, *copied(value))
        elif instruction == "RUN":
            run_line(folder, value, variables)
    shutil.rmtree(folder / "source")
    folder.chmod(0o755)
    return folder


def of_the_build(name: str) -> dict[str, str]:
    """The stage's own environment, over that by which this machine reaches its package index."""
    return os.environ | environment(STAGES[name]) | {"PATH": os.environ["PATH"]}


def copy_into(source: Path, names: list[str], target: str) -> None:
    """What COPY does with the context that .dockerignore leaves."""
    for name in names:
        origin, place = ROOT / name, source / target
        if origin.is_dir():
            shutil.copytree(origin, place, ignore=lambda folder, inside: {n for n in inside if ignored(folder, n)})
        else:
            assert not ignored(str(origin.parent), origin.name)
            shutil.copy(origin, place / name)


def ignored(folder: str, name: str) -> bool:
    path = Path(folder, name)
    return IGNORED.match_file(f"{path.relative_to(ROOT)}{'/' if path.is_dir() else ''}")


def run_line(folder: Path, line: str, variables: dict[str, str]) -> str:
    kept = cache_of_uv() or folder.parent / "cache"
    kept.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", ENTER, "sh", folder, kept, "sh", "-ec",
         f"cd /opt/source && {command_of(line)}"],
        env=variables, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def cache_of_uv() -> Path | None:
    """Where this machine keeps what uv has fetched before: it stands in for the engine's cache."""
    uv = shutil.which("uv", path=own_tools()["PATH"])
    if uv is None:
        return None
    return Path(subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip())


def as_nobody(image: Path, *arguments: str, **variables: str) -> list[str]:
    """The image's command with these arguments, for nobody, with nothing to write to but /tmp."""
    stage = STAGES["cpu"]
    user, [entry] = stage.all("USER"), stage.all("ENTRYPOINT")
    assert user == [f"{NOBODY}:{NOBODY}"]
    given = [f"{name}={value}" for name, value in (environment(stage) | variables).items()]
    words = ["env", "-i", ITS_LIBRARY, *given, *json.loads(entry), *arguments]
    return ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(image), *words]


def run_as_nobody(image: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = as_nobody(image, *arguments, **variables)
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", DOCKERFILE], capture_output=True, text=True, check=False, env=own_tools())
    assert (done.returncode, done.stdout) == (0, "")


def own_tools() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_every_image_comes_from_one_pinned_base() -> None:
    [base] = [
        part["value"] for part in DockerfileParser(path=str(DOCKERFILE)).structure if part["instruction"] == "ARG"
    ]
    assert re.fullmatch(r"BASE=python:\d+\.\d+\.\d+-slim-[a-z]+", base)
    assert {stage.parent for stage in STAGES.values()} <= {"${BASE}", *STAGES}
    assert next(reversed(STAGES)) == "cpu", "the default target"


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_run_image_takes_nothing_but_what_was_installed(target: str) -> None:
    stage = STAGES[target]
    assert stage.all("RUN") == []
    assert [copied(line) for line in stage.all("COPY")] == [(["/opt/shoal"], "/opt/shoal")]
    assert (stage.all("CMD"), stage.all("EXPOSE")) == (['["run"]'], ["9108"])


def test_the_context_holds_what_is_copied_and_nothing_of_the_tests() -> None:
    sources = [name for line in STAGES["build"].all("COPY") for name in copied(line)[0]]
    assert all((ROOT / name).exists() and not ignored(str((ROOT / name).parent), Path(name).name) for name in sources)
    for name in ("tests/conftest.py", ".git/config", "docs/architecture.md", "onnx/other/image.onnx", "a.env"):
        assert IGNORED.match_file(name), name


def test_what_is_installed_can_neither_compile_nor_train(image: Path) -> None:
    [site] = (image / "shoal" / "lib").glob("python3.*/site-packages")
    there = {path.name.partition("-")[0].lower() for path in site.glob("*.dist-info")}
    assert {"shoal", "confluent_kafka", "onnxruntime_gpu"} <= there
    assert not there & {
        "pip",
        "setuptools",
        "uv",
        "hatchling",
        "torch",
        "transformers",
        "onnx",
        "matplotlib",
        "pytest",
    }
    assert not list(site.rglob("libonnxruntime_providers_cuda.so"))
    assert list(site.glob("consumers/__pycache__/cli.*.pyc")), "nothing is compiled again at each start"


def test_the_bundle_inside_verifies_for_nobody_on_a_read_only_file_system(image: Path) -> None:
    done = run_as_nobody(image, "bundle", "verify")
    assert done.returncode == 0, done.stderr
    assert "image.onnx" in done.stdout


def test_nothing_can_be_written_but_to_tmp(image: Path) -> None:
    command = as_nobody(image)
    program = (
        "import os, pathlib; pathlib.Path('/tmp/x').touch(); print(os.getuid(), os.access('/opt/shoal', os.W_OK))"
    )
    done = subprocess.run(
        [*command[: command.index("shoal")], "python", "-c", f"{program}; pathlib.Path('/opt/x').touch()"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == [NOBODY, "False"], done.stderr
    assert "Read-only file system" in done.stderr


@pytest.mark.kafka
@pytest.mark.redis
def test_a_worker_of_the_image_works_and_its_health_check_says_so(
    image: Path, kafka: str, real_redis: str, tmp_path: Path
) -> None:
    write_tiny_bundle(image / "tiny")
    settings = platform_settings(image / "tiny", Kafka(bootstrap_servers=kafka), Redis(url=real_redis))
    platform, port = Platform(settings), str(free_port())
    make_topics(platform)
    [health] = STAGES["cpu"].all("HEALTHCHECK")
    check = json.loads(health.partition("CMD ")[2])
    assert check[0] == "shoal"

    def launch(arguments: list[str], variables: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        ours = {name: value for name, value in variables.items() if name.startswith("SHOAL_")}
        command = as_nobody(image, *arguments, **ours | {"SHOAL_BUNDLE": "/opt/tiny", "SHOAL_HTTP__PORT": port})
        with log.open("w") as file:
            return subprocess.Popen(command, stdout=file, stderr=file)

    def healthy() -> int:
        return run_as_nobody(image, *check[1:], SHOAL_HTTP__PORT=port).returncode

    assert healthy() == 1
    worker = Worker(settings, tmp_path / f"worker-{uuid.uuid4().hex[:6]}.log", launch=launch)
    try:
        worker.wait_ready()
        platform.publish({"post_id": "p-1", "caption": "hello"})
        assert platform.decided(1)["p-1"].outcome == "clear"
        assert healthy() == 0
        assert STAGES["cpu"].all("STOPSIGNAL") == [signal.SIGTERM.name]
        assert worker.stop() == 0
    finally:
        worker.kill()


def test_the_libraries_of_the_gpu_can_be_had_in_the_versions_that_were_tested(image: Path) -> None:
    [line] = STAGES["build-cuda"].all("RUN")[len(STAGES["build"].all("RUN")) :]
    (image / "source").mkdir(exist_ok=True)
    shutil.copy(ROOT / "constraints.txt", image / "source")
    variables = of_the_build("build-cuda")
    said = run_line(image, line.replace("uv pip install", "uv pip install --dry-run"), variables)
    versions = dict(one.split("==") for one in (ROOT / "constraints.txt").read_text().split("\n") if "==" in one)
    found = dict(re.findall(r"^ \+ (nvidia-\S+)==(\S+)", said, re.MULTILINE))
    assert {"nvidia-cudnn-cu13", "nvidia-cublas", "nvidia-cuda-runtime"} <= set(found)
    assert found == {name: versions.get(name) for name in found}
