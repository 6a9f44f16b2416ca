{{/* What the schema cannot say: values that contradict each other. */}}
{{- define "shoal.validate" -}}
{{- $values := .Values }}
{{- $cells := int (include "shoal.cells" .) }}
{{- $auto := $values.encode.autoscaling }}
{{- if and $values.assign.enabled (gt (int $values.assign.replicas) $cells) }}
{{- fail (printf "assign.replicas is %d and there are %d cells (settings.assign.cells): a cell has one owner, so at most one replica a cell" (int $values.assign.replicas) $cells) }}
{{- end }}
{{- if and (eq $auto.kind "none") (gt (int $values.encode.replicas) (int $values.encode.partitions)) }}
{{- fail (printf "encode.replicas is %d and the posts topic has %d partitions (encode.partitions): more replicas would idle" (int $values.encode.replicas) (int $values.encode.partitions)) }}
{{- end }}
{{- if and (ne $auto.kind "none") (gt (int $auto.maxReplicas) (int $values.encode.partitions)) }}
{{- fail (printf "encode.autoscaling.maxReplicas is %d and the posts topic has %d partitions (encode.partitions): more replicas would idle" (int $auto.maxReplicas) (int $values.encode.partitions)) }}
{{- end }}
{{- if and (ne $auto.kind "none") (gt (int $auto.minReplicas) (int $auto.maxReplicas)) }}
{{- fail "encode.autoscaling.minReplicas is above maxReplicas" }}
{{- end }}
{{- if and (eq $auto.kind "hpa") (lt (int $auto.minReplicas) 1) }}
{{- fail "encode.autoscaling.minReplicas must be at least 1 with kind hpa; keda can go down to 0" }}
{{- end }}
{{- if gt (int $values.route.replicas) (int $values.route.partitions) }}
{{- fail (printf "route.replicas is %d and the verdicts topic has %d partitions (route.partitions): more replicas would idle" (int $values.route.replicas) (int $values.route.partitions)) }}
{{- end }}
{{- range $cell := $values.rebuild.cells }}
{{- if ge (int $cell) $cells }}
{{- fail (printf "rebuild.cells names cell %d and there are %d (settings.assign.cells), from 0" (int $cell) $cells) }}
{{- end }}
{{- end }}
{{- if and $values.kafka.sasl.mechanism (not $values.kafka.sasl.existingSecret) }}
{{- fail "kafka.sasl.mechanism needs kafka.sasl.existingSecret, a secret with the name and the password" }}
{{- end }}
{{- if and $values.kafka.tls.existingSecret (not $values.kafka.tls.enabled) }}
{{- fail "kafka.tls.existingSecret is set and kafka.tls.enabled is not" }}
{{- end }}
{{- if and $values.kafka.tls.clientCertificate (not $values.kafka.tls.existingSecret) }}
{{- fail "kafka.tls.clientCertificate needs kafka.tls.existingSecret" }}
{{- end }}
{{- range $name, $tls := dict "kafka" $values.kafka.tls "redis" $values.redis.tls }}
{{- if and $tls.clientSecret (not $tls.clientCertificate) }}
{{- fail (printf "%s.tls.clientSecret is set and %s.tls.clientCertificate is not" $name $name) }}
{{- end }}
{{- end }}
{{- if and $values.redis.tls.existingSecret (not (or $values.redis.urlKey (hasPrefix "rediss://" $values.redis.url))) }}
{{- fail "redis.tls.existingSecret needs a redis.url that begins with rediss://" }}
{{- end }}
{{- if and $values.redis.tls.clientCertificate (not $values.redis.tls.existingSecret) }}
{{- fail "redis.tls.clientCertificate needs redis.tls.existingSecret" }}
{{- end }}
{{- if and (or $values.redis.urlKey $values.redis.usernameKey) (not $values.redis.existingSecret) }}
{{- fail "redis.urlKey and redis.usernameKey need redis.existingSecret" }}
{{- end }}
{{- if and (eq $values.bundle.source "persistentVolumeClaim") (not $values.bundle.persistentVolumeClaim.claimName) }}
{{- fail "bundle.source persistentVolumeClaim needs bundle.persistentVolumeClaim.claimName" }}
{{- end }}
{{- if and (eq $values.bundle.source "objectStore") (not $values.bundle.objectStore.url) }}
{{- fail "bundle.source objectStore needs bundle.objectStore.url" }}
{{- end }}
{{- if and $values.alert.enabled (not (or $values.alert.existingSecret (dig "alert" "channels" list $values.settings))) }}
{{- fail "alert.enabled needs alert.existingSecret, a secret with the channels, or settings.alert.channels" }}
{{- end }}
{{- if and $values.snapshot.enabled (not (or $values.snapshot.to (dig "snapshots" "location" "" $values.settings))) }}
{{- fail "snapshot.enabled needs snapshot.to or settings.snapshots.location" }}
{{- end }}
{{- if and $values.monitoring.podMonitor.enabled $values.monitoring.serviceMonitor.enabled }}
{{- fail "monitoring.podMonitor and monitoring.serviceMonitor would scrape every pod twice: enable one" }}
{{- end }}
{{- if and $values.monitoring.rules.enabled (not (.Files.Glob "files/rules/*.yaml")) }}
{{- fail "this copy of the chart has no rules in files/rules; package it from a checkout in which `make chart-files` has run" }}
{{- end }}
{{- $rules := list }}
{{- range $path, $_ := .Files.Glob "files/rules/*.yaml" }}
{{- $rules = append $rules ($.Files.Get $path) }}
{{- end }}
{{- range $name := $values.monitoring.rules.disabled }}
{{- if not (contains (printf "alert: %s\n" $name) (join "" $rules)) }}
{{- fail (printf "monitoring.rules.disabled names %s, and there is no such alert" $name) }}
{{- end }}
{{- end }}
{{- if and $values.monitoring.dashboards.enabled (not (.Files.Glob "files/dashboards/*.json")) }}
{{- fail "this copy of the chart has no dashboards in files/dashboards; package it from a checkout in which `make chart-files` has run" }}
{{- end }}
{{- end }}
