"""The `shoal` command. Every subcommand reads the settings, calls one function and shows what it gave."""

from __future__ import annotations

import os
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer

from consumers.options import AsJson, Assignments, BundleName, ConfigFile, settings_from
from consumers.settings import SettingsError
from consumers.terminal import (
    console,
    print_fields,
    print_findings,
    print_json,
    print_rows,
    progress_bar,
    warnings_on_stderr,
)

FAILED = 1
WRONG_USE = 2
SHOWN_POSTS = 20

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
bundle_app = typer.Typer(no_args_is_help=True, help="Look at a bundle of encoders.")
clusters_app = typer.Typer(no_args_is_help=True, help="Look at the micro-clusters in Redis.")
bank_app = typer.Typer(no_args_is_help=True, help="Bring in and take out known violations.")
policies_app = typer.Typer(no_args_is_help=True, help="Look at the policies and change them.")
settings_app = typer.Typer(no_args_is_help=True, help="Look at what the cells obey and change it.")
dead_letters_app = typer.Typer(no_args_is_help=True, help="Look at dead letters and put them back.")
state_app = typer.Typer(no_args_is_help=True, help="Look at the cells' state in Redis as a whole.")
app.add_typer(bundle_app, name="bundle")
app.add_typer(clusters_app, name="clusters")
app.add_typer(bank_app, name="bank")
app.add_typer(policies_app, name="policies")
app.add_typer(settings_app, name="settings")
app.add_typer(dead_letters_app, name="dead-letters")
app.add_typer(state_app, name="state")


def _version(wanted: bool) -> None:
    if wanted:
        console().print(f"shoal {metadata.version('shoal')}")
        raise typer.Exit


@app.callback()
def shoal(
    _version_asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Real-time, multimodal content moderation on Kafka streams."""


@app.command()
def run(
    *,
    only: Annotated[str | None, typer.Option(help="Some of encode,assign,route; all of them by default.")] = None,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Run the consumers until SIGTERM or Ctrl-C."""
    from consumers import run as worker

    names = tuple(worker.CONSUMERS) if only is None else tuple(name.strip() for name in only.split(","))
    unknown = sorted(set(names) - set(worker.CONSUMERS))
    if unknown:
        raise SettingsError(f"--only {only}: {', '.join(unknown)} unknown; known: {', '.join(worker.CONSUMERS)}")
    settings = settings_from(config, assignments, bundle)
    if not worker.run(settings, tuple(dict.fromkeys(names))):
        # a thread that hangs in a library would keep the interpreter from ending
        os._exit(FAILED)


@app.command()
def check(
    *,
    create_topics: Annotated[bool, typer.Option("--create-topics", help="Create absent topics.")] = False,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, brokers, topics, Redis and bundle: one line each, with what to do when it is red."""
    from consumers.check import check_everything

    findings = check_everything(settings_from(config, assignments, bundle), create=create_topics)
    raise typer.Exit(0 if print_findings(findings, as_json=as_json) else FAILED)


@app.command()
def produce(
    file: Annotated[Path | None, typer.Argument(help="Posts, one JSON object a line; - is standard input.")] = None,
    *,
    images: Annotated[Path | None, typer.Option(help="Folder of images to make posts of.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Folder of recordings to make posts of.")] = None,
    captions: Annotated[Path | None, typer.Option(help="Text file, one caption a line.")] = None,
    variants: Annotated[int, typer.Option(min=0, help="Altered copies of each original.")] = 3,
    originals: Annotated[bool, typer.Option(help="Post the originals too, before the altered copies.")] = True,
    truth: Annotated[Path, typer.Option(help="Where to write what each post was made of.")] = Path("truth.jsonl"),
    seed: Annotated[int, typer.Option(help="The same seed makes the same posts.")] = 0,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Posts a second; unset: no limit.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Write posts to the posts topic: from a file, or made from a folder of real media and altered copies of it."""
    from consumers.check_kafka import require_brokers
    from consumers.media_folder import MediaFolder, first_notes, posts_of_folder
    from consumers.produce import posts_of_file, produce_posts

    settings = settings_from(config, assignments)
    made = images is not None or audio is not None or captions is not None
    if made == (file is not None):
        raise SettingsError("produce: give a FILE of posts, or some of --images, --audio and --captions; not both")
    require_brokers(settings)
    refused: list[str] = []

    def refuse(line: str) -> None:
        refused.append(line)
        typer.echo(f"shoal: {line}", err=True)

    if file is not None:
        posts = posts_of_file(file, settings.limits.post_bytes, refuse)
    else:
        folder = MediaFolder(images, audio, captions)
        posts = posts_of_folder(folder, settings.limits, variants, seed, truth, refuse, originals=originals)
    writer = produce_posts(settings, posts, rate=rate)
    for reason, count in writer.refused.items():
        typer.echo(f"shoal: {count} posts refused by Kafka: {reason}", err=True)
    lost = writer.refused.total()
    if made and not as_json:
        print_rows(first_notes(truth, SHOWN_POSTS), as_json=False, empty="no posts")
    counts = {"written": writer.written, "refused": lost, "unreadable": len(refused)}
    print_fields(counts | ({"truth": str(truth)} if made else {}), as_json=as_json)
    raise typer.Exit(FAILED if lost or refused else 0)


@app.command()
def verdict(
    decision: Annotated[Literal["uphold", "overturn"], typer.Argument(help="It violates the policy, or not.")],
    post_id: Annotated[str | None, typer.Argument(help="The post it is about.", show_default=False)] = None,
    *,
    policy: Annotated[str, typer.Option(help="The policy it violates, or does not.")],
    flag: Annotated[str | None, typer.Option(help="A flag's id instead of a post's.")] = None,
    cluster: Annotated[str | None, typer.Option(help="A micro-cluster's id instead of a post's.")] = None,
    cell: Annotated[int | None, typer.Option(help="The cell in its decision or flag: found at once.")] = None,
    cell_offset: Annotated[int | None, typer.Option(help="The cell offset in its decision or flag.")] = None,
    actor: Annotated[str, typer.Option(help="Who decided: one actor counts once.")] = "cli",
    note: Annotated[str | None, typer.Option(help="A remark, kept with the verdict.")] = None,
    supersedes: Annotated[str | None, typer.Option(help="The id of an earlier verdict that counts no more.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Give a moderator's verdict: posts like an upheld one are flagged from now on."""
    from consumers.verdicts import VerdictError, send_verdict

    settings = settings_from(config, assignments)
    try:
        verdict_id = send_verdict(
            settings,
            decision=decision,
            policy=policy,
            post_id=post_id,
            flag_id=flag,
            cluster_id=cluster,
            cell=cell,
            cell_offset=cell_offset,
            actor=actor,
            note=note,
            supersedes=supersedes,
        )
    except VerdictError as error:
        raise SettingsError(str(error)) from error
    print_fields({"verdict_id": verdict_id, "decision": decision, "policy": policy}, as_json=as_json)


@bank_app.command("import")
def bank_import(
    file: Annotated[Path, typer.Argument(help="Posts or vectors with their policy, one JSON object a line.")],
    *,
    policy: Annotated[str | None, typer.Option(help="For lines that name none.")] = None,
    actor: Annotated[str | None, typer.Option(help="For lines that name none; else bank:LIST.")] = None,
    source: Annotated[str | None, typer.Option(metavar="LIST", help="The list, for lines that name none.")] = None,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Give a verdict for each line of a bank; importing the same bank again changes nothing."""
    from consumers.bank import Gaps, import_bank
    from consumers.bundles import find_bundle
    from consumers.check_kafka import require_brokers
    from models.manifest import read_manifest

    settings = settings_from(config, assignments, bundle)
    manifest = read_manifest(find_bundle(settings.bundle))
    require_brokers(settings)
    refused: list[str] = []

    def refuse(line: str) -> None:
        refused.append(line)
        typer.echo(f"shoal: {line}", err=True)

    with progress_bar("importing") as progress:
        sent = import_bank(settings, manifest, file, Gaps(policy, actor, source), refuse, progress)
    print_fields({"verdicts": sent, "refused": len(refused)}, as_json=as_json)
    raise typer.Exit(FAILED if refused else 0)


@bank_app.command("export")
def bank_export(
    file: Annotated[Path, typer.Argument(help="Where to write; what is there is replaced.")],
    *,
    policy: Annotated[str | None, typer.Option(help="Only what verdicts say under this policy.")] = None,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Write what verdicts say now, exemplars and exceptions, with their vectors: a bank for the same bundle."""
    from consumers.bank import export_bank

    count = export_bank(settings_from(config, assignments, bundle), file, policy)
    print_fields({"verdicts": count}, as_json=as_json)


@app.command()
def erase(
    post_id: Annotated[str, typer.Argument(help="The post to be forgotten.")],
    *,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for the cells' owners.")] = 30.0,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Take a post out of every cell: exemplars, members, sums, flagged posts, verdicts that wait, stored outputs."""
    from consumers.shown.erase import erase_findings

    settings = settings_from(config, assignments, bundle)
    good = print_findings(erase_findings(settings, post_id, patience_seconds=patience), as_json=as_json)
    raise typer.Exit(0 if good else FAILED)


PoliciesFile = Annotated[Path, typer.Argument(metavar="FILE", help="Policies in TOML, or JSON (.json).")]
Changer = Annotated[str, typer.Option("--actor", help="Who changes them: kept in the log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


@policies_app.command("show")
def policies_show(
    *, bundle: BundleName = None, config: ConfigFile = None, assignments: Assignments = None, as_json: AsJson = False
) -> None:
    """The policies in force with all their thresholds, by cell where cells differ."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.settings import policy_rows

    settings = settings_from(config, assignments, bundle)
    require_brokers(settings)
    print_rows(policy_rows(settings), as_json=as_json, empty="no cells")


@policies_app.command("check")
def policies_check(
    file: PoliciesFile,
    *,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Check a file of policies against its schema and the bundle; needs neither Kafka nor Redis."""
    from consumers.shown.settings import policies_checked

    print_fields(policies_checked(settings_from(config, assignments, bundle), file), as_json=as_json)


@policies_app.command("apply")
def policies_apply(
    file: PoliciesFile,
    *,
    actor: Changer = "cli",
    dry_run: DryRun = False,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Put the policies of a file in force: one record in the log of every cell, in one transaction."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.settings import apply_policies

    settings = settings_from(config, assignments, bundle)
    require_brokers(settings)
    print_findings(apply_policies(settings, file, actor=actor, dry_run=dry_run), as_json=as_json)


@settings_app.command("show")
def settings_show(
    *, bundle: BundleName = None, config: ConfigFile = None, assignments: Assignments = None, as_json: AsJson = False
) -> None:
    """The settings of the fold that the cells obey, beside those given here."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.settings import setting_rows

    settings = settings_from(config, assignments, bundle)
    require_brokers(settings)
    print_rows(setting_rows(settings), as_json=as_json, empty="no cells")


@settings_app.command("apply")
def settings_apply(
    *,
    actor: Changer = "cli",
    dry_run: DryRun = False,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Put the settings given here in force in every cell: thresholds of joining, half-lives, limits."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.settings import apply_settings

    settings = settings_from(config, assignments, bundle)
    require_brokers(settings)
    print_findings(apply_settings(settings, actor=actor, dry_run=dry_run), as_json=as_json)


@clusters_app.command("list")
def clusters_list(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the largest first.")] = 20,
    labelled: Annotated[bool, typer.Option("--labelled", help="Only clusters with evidence.")] = False,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """The micro-clusters in Redis, the largest first."""
    from consumers.shown.clusters import cluster_rows

    rows = cluster_rows(settings_from(config, assignments, bundle), limit=limit, labelled=labelled)
    print_rows(rows, as_json=as_json, empty="no clusters yet")


@clusters_app.command("campaigns")
def clusters_campaigns(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, those with the most posts first.")] = 20,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Micro-clusters that belong together, also across cells."""
    from consumers.shown.clusters import campaign_rows

    rows = campaign_rows(settings_from(config, assignments, bundle), limit=limit)
    print_rows(rows, as_json=as_json, empty="no clusters yet")


@clusters_app.command("show")
def clusters_show(
    cluster_id: Annotated[str, typer.Argument(help="As in a decision or flag: CELL-OFFSET.")],
    *,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """One micro-cluster: its weight and cohesion, evidence, exemplars and recent members."""
    from consumers.shown.clusters import cluster_details

    print_fields(cluster_details(settings_from(config, assignments, bundle), cluster_id), as_json=as_json)


@state_app.command("stats")
def state_stats(
    *,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Each cell: how far it is, what its log holds, its newest snapshot, and what it holds and takes in Redis."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.state import stats_rows

    settings = settings_from(config, assignments, bundle)
    require_brokers(settings)
    print_rows(stats_rows(settings), as_json=as_json, empty="no cells")


@state_app.command("verify")
def state_verify(
    *,
    cell: Annotated[int | None, typer.Option(min=0, help="Only this cell.")] = None,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Fold the cells' logs again, and compare every cluster, label and exemplar with Redis."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.state import verify_findings

    settings = settings_from(config, assignments, bundle)
    warnings_on_stderr()
    require_brokers(settings)
    with progress_bar("folding the log") as progress:
        good = print_findings(verify_findings(settings, cell=cell, progress=progress), as_json=as_json)
    raise typer.Exit(0 if good else FAILED)


@state_app.command("snapshot")
def state_snapshot(
    cell: Annotated[int | None, typer.Argument(min=0, help="Number of the cell; all of them by default.")] = None,
    *,
    to: Annotated[str | None, typer.Option(metavar="LOCATION", help="Instead of snapshots.location.")] = None,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Copy cells into a store (file://, s3://, gs://, az://) while their owners work on."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.snapshots import snapshot_findings

    settings = settings_from(config, assignments, bundle)
    warnings_on_stderr()
    require_brokers(settings)
    good = print_findings(snapshot_findings(settings, cell=cell, location=to), as_json=as_json)
    raise typer.Exit(0 if good else FAILED)


@state_app.command("restore")
def state_restore(
    cell: Annotated[int, typer.Argument(min=0, help="Number of the cell.")],
    source: Annotated[str | None, typer.Argument(metavar="[LOCATION|SNAPSHOT]", show_default=False)] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also when Redis is further than the snapshot.")] = False,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Put a cell's newest snapshot into Redis, this one or another (redis.url); its owner folds on from there."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.snapshots import restore_findings

    settings = settings_from(config, assignments, bundle)
    warnings_on_stderr()
    require_brokers(settings)
    found = restore_findings(settings, cell=cell, source=source, force=force)
    raise typer.Exit(0 if print_findings(found, as_json=as_json) else FAILED)


@state_app.command("rebuild")
def state_rebuild(
    cell: Annotated[int, typer.Argument(min=0, help="Number of the cell.")],
    *,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait for any progress.")] = 30.0,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Take a cell back to its newest snapshot, or to nothing, and watch its owner fold; nothing comes twice."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.state import rebuild_findings

    settings = settings_from(config, assignments, bundle)
    warnings_on_stderr()
    require_brokers(settings)
    with progress_bar("folding again") as progress:
        found = rebuild_findings(settings, cell=cell, patience_seconds=patience, progress=progress)
        good = print_findings(found, as_json=as_json)
    raise typer.Exit(0 if good else FAILED)


@app.command()
def flags(
    *,
    policy: Annotated[str | None, typer.Option(help="Only those under this policy.")] = None,
    last: Annotated[int, typer.Option(min=1, help="Look at the last so many of each partition.")] = 100,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """The latest flags, with each modality's share; --json gives them whole."""
    from consumers.check_kafka import require_brokers
    from consumers.shown.flags import read_flags, row_of

    settings = settings_from(config, assignments)
    require_brokers(settings)
    found = read_flags(settings, policy=policy, last=last)
    if as_json:
        for flag in found:
            print_json(flag)
    else:
        print_rows(map(row_of, found), as_json=False, empty="no flags")


Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
Step = Annotated[str | None, typer.Option(help="Only those of this step.")]
Place = Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Its place in the dead-letter topic.")]


@dead_letters_app.command("list")
def dead_letters_list(
    *,
    reason: Reason = None,
    step: Step = None,
    limit: Annotated[int, typer.Option(min=1, help="Look at the last so many of each partition.")] = 1000,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Dead letters with their reasons."""
    from consumers.check_kafka import require_brokers
    from consumers.dead_letters import Selection, list_dead_letters
    from consumers.shown.dead_letters import row_of

    settings = settings_from(config, assignments)
    require_brokers(settings)
    letters = list_dead_letters(settings, Selection(reason=reason, step=step), limit=limit)
    print_rows((row_of(letter) for letter in letters), as_json=as_json, empty="no dead letters")


@dead_letters_app.command("show")
def dead_letters_show(
    place: Place, *, config: ConfigFile = None, assignments: Assignments = None, as_json: AsJson = False
) -> None:
    """One dead letter, with the beginning of its value."""
    from consumers.dead_letters import Selection, list_dead_letters
    from consumers.findings import CheckError
    from consumers.shown.dead_letters import details_of, place_of

    selection = Selection(places=frozenset([place_of(place)]))
    letter = next(iter(list_dead_letters(settings_from(config, assignments), selection)), None)
    if letter is None:
        raise CheckError(f"dead letter {place}: there is none; shoal dead-letters list shows what there is")
    print_fields(details_of(letter), as_json=as_json)


@dead_letters_app.command("replay")
def dead_letters_replay(
    places: Annotated[list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...")] = None,
    *,
    reason: Reason = None,
    step: Step = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Put dead letters back into the topic they came from, as they were."""
    from consumers.check_kafka import require_brokers
    from consumers.dead_letters import Selection, replay
    from consumers.shown.dead_letters import place_of

    if not (places or reason or step or everything):
        raise SettingsError("dead-letters replay: name places, --reason, --step, or --all")
    chosen = frozenset(place_of(place) for place in places) if places else None
    selection = Selection(reason=reason, step=step, places=chosen)
    settings = settings_from(config, assignments)
    require_brokers(settings)
    print_fields({"replayed": replay(settings, selection)}, as_json=as_json)


@bundle_app.command("info")
def bundle_info(
    name: Annotated[str, typer.Argument(help="Folder of a bundle, or a name such as compact.")] = "compact",
    *,
    as_json: AsJson = False,
) -> None:
    """What a bundle holds: modalities, thresholds, quality and where it comes from."""
    from consumers.shown.bundle import describe_bundle

    print_fields(describe_bundle(name), as_json=as_json)


@bundle_app.command("verify")
def bundle_verify(
    name: Annotated[str, typer.Argument(help="Folder of a bundle, or a name such as compact.")] = "compact",
    *,
    as_json: AsJson = False,
) -> None:
    """Compare every file of a bundle with the digest in its manifest."""
    from consumers.bundles import find_bundle
    from models.bundle import verify_bundle

    reports = verify_bundle(find_bundle(name))
    print_rows(({"file": r.name, "state": r.state} for r in reports), as_json=as_json, empty="an empty bundle")
    raise typer.Exit(0 if all(r.state == "ok" for r in reports) else FAILED)


@app.command()
def demo(
    *,
    posts: Annotated[int, typer.Option(min=1, help="Length of the stream.")] = 4800,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same stream.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write the summary's numbers.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Progress lines instead of the live view.")] = False,
    bundle: BundleName = None,
) -> None:
    """The main job on a simulated stream, with an embedded broker and Redis; needs nothing else."""
    began = time.monotonic()
    from consumers.demo.show import run_demo

    good = run_demo(posts=posts, seed=seed, bundle=bundle, plain=plain, summary_file=json_file, began=began)
    raise typer.Exit(0 if good else FAILED)


@app.command()
def train(
    output: Annotated[Path, typer.Argument(help="Folder of the new bundle; its last part is the bundle's name.")],
    *,
    seed: Annotated[int, typer.Option(help="The same seed trains the same bundle.")] = 0,
    minutes: Annotated[float | None, typer.Option(min=1, help="Budget on two free cores; 35 by default.")] = None,
    images: Annotated[Path | None, typer.Option(help="Real photographs to train on as well.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Real recordings to train on as well.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="For the model card: real data and its licence.")] = None,
) -> None:
    """Train a bundle on data that is generated, and export it to ONNX."""
    from consumers.findings import CheckError

    try:
        from models.training.budget import FULL_MINUTES
        from models.training.train import train_bundle
    except ModuleNotFoundError as error:
        raise CheckError(f"shoal train needs {error.name}: pip install 'shoal[train]'") from error
    try:
        train_bundle(output, seed, minutes or FULL_MINUTES, images, audio, sources=tuple(source or ()))
    except ValueError as error:
        raise SettingsError(f"train: {error}") from error


def _describe(error: BaseException) -> str:
    """One line; an error of librdkafka says it in words."""
    found = error.args[0] if error.args else error
    text = found.str() if hasattr(found, "str") else str(error)
    return " ".join(text.split()) or type(error).__name__


def _known_failures() -> tuple[type[Exception], ...]:
    """What the world may do to us: each is one clear line. Everything else is a defect and shows its traceback."""
    from confluent_kafka import KafkaException
    from redis import RedisError

    from consumers.delivery import Aborted, DeliveryError, Fenced
    from consumers.demo.parts import DemoError
    from consumers.embedded import EmbeddedError
    from consumers.findings import CheckError
    from consumers.http import PortError
    from consumers.snapshot_store import SnapshotStoreError
    from consumers.state.codec import CodecError
    from consumers.state.store import StateUnavailable, StateVersionError
    from models.manifest import ManifestError

    ours = (CheckError, DemoError, EmbeddedError, PortError, ManifestError)
    kafka = (KafkaException, Aborted, DeliveryError, Fenced)
    return (*ours, *kafka, SnapshotStoreError, RedisError, StateUnavailable, StateVersionError, CodecError, OSError)


def main() -> None:
    """Entry point: exit codes 0 done, 1 failed, 2 wrong use."""
    try:
        app(prog_name="shoal")
    except SettingsError as error:
        typer.echo(f"shoal: {_describe(error)}", err=True)
        sys.exit(WRONG_USE)
    except _known_failures() as error:
        typer.echo(f"shoal: {_describe(error)}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
