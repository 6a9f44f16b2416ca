"""Every metric, named and explained once. Units are in the names, labels come from small closed sets."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, Info

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

POSTS = Counter("shoal_posts", "Posts decided, by outcome: clear, flagged, review, dead_letter.", ["outcome"])
DUPLICATES = Counter("shoal_duplicate_records", "Records of the cell log already folded before, and dropped.")
FOLDED_AGAIN = Counter(
    "shoal_folded_again_records",
    "Records of the cell log folded once more after Redis lost state; nothing of them is written again.",
    ["cell"],
)
END_TO_END = Histogram(
    "shoal_end_to_end_seconds",
    "From a post's timestamp in Kafka to its decision acknowledged by Kafka.",
    buckets=_SECONDS,
)
STEP = Histogram(
    "shoal_step_seconds",
    "Time of one step on one batch: parse, fetch, decode, embed, fuse, write, fold, state, emit.",
    ["step"],
    buckets=_SECONDS,
)
BATCH = Histogram("shoal_batch_items", "Items in one encoder call, by modality.", ["modality"], buckets=_SIZES)
IN_FLIGHT_MESSAGES = Gauge("shoal_in_flight_messages", "Messages read and not yet committed.", ["consumer"])
IN_FLIGHT_BYTES = Gauge("shoal_in_flight_bytes", "Bytes of messages read and not yet committed.", ["consumer"])
LAG_RECORDS = Gauge(
    "shoal_lag_records",
    "Records between the committed offset and the end of the log, over the consumer's own partitions.",
    ["consumer"],
)
LAG_SECONDS = Gauge("shoal_lag_seconds", "Age of the record committed last when there is lag, else 0.", ["consumer"])
COMMITTED = Counter(
    "shoal_committed_records",
    "Records passed by acknowledged commits; markers of transactions count as records.",
    ["consumer"],
)
PARTITIONS = Gauge("shoal_partitions", "Partitions assigned to this consumer.", ["consumer"])
REBALANCES = Counter("shoal_rebalances", "Partitions gained or given up, by event.", ["consumer", "event"])
ABORTS = Counter(
    "shoal_aborts", "Batches given up before their commit, by reason; they are read again.", ["consumer", "reason"]
)
FLAGS = Counter("shoal_flags", "Flag revisions written, by policy, action and cause.", ["policy", "action", "cause"])
VERDICTS = Counter(
    "shoal_verdicts",
    "Verdicts folded, by decision and outcome: counted, duplicate, waiting, unknown_target, full.",
    ["decision", "outcome"],
)
JUDGED_FLAGS = Counter(
    "shoal_judged_flags",
    "Verdicts counted about posts that were flagged when they came, by policy and decision.",
    ["policy", "decision"],
)
DEAD_LETTERS = Counter("shoal_dead_letters", "Dead letters written, by reason and step.", ["reason", "step"])
REFUSED_DEAD_LETTERS = Counter(
    "shoal_refused_dead_letters", "Dead letters that Kafka refused; their batch is given up and tried again."
)
MEDIA_REJECTIONS = Counter(
    "shoal_media_rejections", "Parts dropped from their post, by modality and reason.", ["modality", "reason"]
)
CLUSTERS = Gauge("shoal_clusters", "Micro-clusters held by the cells this process owns.", ["cell"])
CLUSTER_EVENTS = Counter(
    "shoal_cluster_events",
    "What happened to micro-clusters: opened, joined, merged, evicted, labelled, unlabelled.",
    ["event"],
)
FASTEST_GROWTH = Gauge(
    "shoal_fastest_growth_posts",
    "Posts of the last ten minutes in the micro-cluster without verdicts that has taken the most of them.",
    ["cell"],
)
UNVERIFIED = Counter(
    "shoal_unverified_candidates",
    "Posts near enough to an exemplar for a flag whose features do not agree with it, by policy.",
    ["policy"],
)
REDIS = Histogram("shoal_redis_seconds", "Time of one call to Redis, by call.", ["call"], buckets=_SECONDS)
REDIS_MEMORY = Gauge("shoal_redis_memory_bytes", "Memory that a Redis server uses.", ["server"])
REDIS_MEMORY_LIMIT = Gauge(
    "shoal_redis_memory_limit_bytes", "maxmemory of a Redis server; 0 where it has no limit.", ["server"]
)
CELL_ASSIGNED = Gauge(
    "shoal_cell_assigned", "1 for a cell that Kafka has given to this process, 0 for every other cell.", ["cell"]
)
CELL_STOPPED = Gauge(
    "shoal_cell_stopped", "1 while a cell this process owns is stopped by its state protocol.", ["cell"]
)
CELL_WAITING = Gauge(
    "shoal_cell_waiting",
    "1 while a cell given to this process is not worked on for want of Redis or Kafka; it is tried again and again.",
    ["cell"],
)
SNAPSHOT_TIME = Gauge(
    "shoal_snapshot_timestamp_seconds",
    "When the newest snapshot of a cell this process owns was taken, or was last found to hold all there is.",
    ["cell"],
)
SNAPSHOT_INTERVAL = Gauge(
    "shoal_snapshot_interval_seconds", "Time between two snapshots of a cell by the settings; 0 where none are taken."
)
SNAPSHOT_FAILURES = Counter(
    "shoal_snapshot_failures", "Snapshots that could not be taken; the cell goes on, and the next is tried.", ["cell"]
)
BUNDLE = Info("shoal_bundle", "The bundle in use.")
EXECUTION_PROVIDER = Gauge(
    "shoal_execution_provider",
    "1 for the execution provider a modality's encoder really runs on.",
    ["modality", "provider"],
)
GPU_REQUIRED = Gauge("shoal_gpu_required", "1 where the settings forbid the encoders to run on anything but the GPU.")
ALERTS_SENT = Counter("shoal_alerts_sent", "Notifications that a channel has taken.", ["channel", "kind"])
ALERT_FAILURES = Counter(
    "shoal_alert_failures",
    "Attempts that a channel did not take, by reason: timeout, connection, rate-limited, status, refused, "
    "internal-error.",
    ["channel", "reason"],
)
ALERTS_GIVEN_UP = Counter("shoal_alerts_given_up", "Notifications that became dead letters.", ["channel"])
ALERTS_PENDING = Gauge("shoal_alerts_pending", "Notifications that wait for a channel.", ["channel"])
ALERT_OLDEST_SECONDS = Gauge(
    "shoal_alert_oldest_seconds", "How long the oldest notification has waited for a channel; 0 if none.", ["channel"]
)
ALERT_CAMPAIGNS = Gauge("shoal_alert_campaigns", "Campaigns that moderators have been told of and that go on.")
ALERT_UNTOLD_FLAGS = Gauge(
    "shoal_alert_untold_flags", "Flags and retractions that wait for a digest or for the end of quiet hours."
)
ALERT_ACTIVE = Gauge("shoal_alert_active", "1 while this process is the one that alerts, 0 while it stands by.")
