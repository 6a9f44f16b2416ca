{{/* A value as TOML writes it: JSON, but for mappings. */}}
{{- define "shoal.toml.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $number, $name := keys . | sortAlpha }}{{ if $number }},{{ end }} {{ toJson $name }} = {{ include "shoal.toml.value" (get $ $name) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{- range $number, $one := . }}{{ if $number }}, {{ end }}{{ include "shoal.toml.value" $one }}{{ end }}]
{{- else -}}
{{ toRawJson . }}
{{- end -}}
{{- end }}

{{/* A tree as TOML: what stands alone first, then a table for each section. Null is not set. */}}
{{- define "shoal.toml" -}}
{{- range $name := keys . | sortAlpha }}
{{- $value := get $ $name }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $name }} = {{ include "shoal.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $name := keys . | sortAlpha }}
{{- $section := get $ $name }}
{{- if and (kindIs "map" $section) $section }}

[{{ $name }}]
{{- range $field := keys $section | sortAlpha }}
{{- $value := get $section $field }}
{{- if not (kindIs "invalid" $value) }}
{{ $field }} = {{ include "shoal.toml.value" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Redis' address, with the certificates in its query. */}}
{{- define "shoal.redisUrl" -}}
{{- $redis := .Values.redis }}
{{- $redis.url }}
{{- with $redis.tls }}
{{- if .existingSecret }}{{ ternary "&" "?" (contains "?" $redis.url) }}ssl_ca_certs=/etc/shoal/redis-tls/ca.crt
{{- if .clientCertificate }}&ssl_certfile=/etc/shoal/redis-tls/tls.crt&ssl_keyfile=/etc/shoal/redis-tls/tls.key{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "shoal.bundle" -}}
{{- if eq .Values.bundle.source "image" }}{{ .Values.bundle.name }}
{{- else if eq .Values.bundle.source "objectStore" }}/bundle/{{ .Values.bundle.id }}
{{- else }}/bundle{{ end }}
{{- end }}

{{/* The settings file: what the operator gives, and what other values say. */}}
{{- define "shoal.settings" -}}
{{- $properties := dict "security.protocol" (include "shoal.securityProtocol" .) }}
{{- with .Values.kafka.sasl.mechanism }}{{ $_ := set $properties "sasl.mechanism" . }}{{ end }}
{{- with .Values.kafka.tls }}
{{- if and .enabled .existingSecret }}
{{- $_ := set $properties "ssl.ca.location" "/etc/shoal/kafka-tls/ca.crt" }}
{{- if .clientCertificate }}
{{- $_ := set $properties "ssl.certificate.location" "/etc/shoal/kafka-tls/tls.crt" }}
{{- $_ := set $properties "ssl.key.location" "/etc/shoal/kafka-tls/tls.key" }}
{{- end }}
{{- end }}
{{- end }}
{{- $redis := dict "cluster" .Values.redis.cluster }}
{{- if not .Values.redis.urlKey }}{{ $_ := set $redis "url" (include "shoal.redisUrl" .) }}{{ end }}
{{- $ours := dict
  "bundle" (include "shoal.bundle" .)
  "kafka" (dict "bootstrap_servers" .Values.kafka.bootstrapServers "properties" $properties)
  "redis" $redis
  "partitions" (dict "posts" (int .Values.encode.partitions) "verdicts" (int .Values.route.partitions))
  "http" (dict "port" 9108) }}
{{- include "shoal.toml" (mergeOverwrite (deepCopy .Values.settings) $ours) | trim }}
{{- end }}
