{{- define "shoal.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The start of every object's name; 40 characters leave room for the workload's. */}}
{{- define "shoal.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $whole .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "shoal.serviceAccountName" -}}
{{- default (ternary (include "shoal.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{/* Labels that select; they never change. With a component: of one workload. */}}
{{- define "shoal.selector" -}}
app.kubernetes.io/name: {{ include "shoal.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "shoal.labels" -}}
{{- include "shoal.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The annotations of an object, if there are any; `own` are those of its values. */}}
{{- define "shoal.annotations" -}}
{{- with merge (dict) (.own | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The image; `own` holds what a workload has instead. */}}
{{- define "shoal.image" -}}
{{- $image := .root.Values.image }}
{{- $own := .own | default dict }}
{{- $repository := $own.repository | default $image.repository }}
{{- $tag := $own.tag | default $image.tag | default .root.Chart.AppVersion }}
{{- $digest := $own.digest | default (ternary "" $image.digest (or $own.repository $own.tag | empty | not)) }}
{{- if $digest }}
{{- printf "%s@%s" $repository $digest }}
{{- else }}
{{- printf "%s:%s" $repository $tag }}
{{- end }}
{{- end }}

{{/* Consumers' names of one release: a setting, with its default. */}}
{{- define "shoal.cells" -}}
{{- int (dig "assign" "cells" 1 .Values.settings) }}
{{- end }}

{{- define "shoal.encodeGroup" -}}
{{- printf "%s.%s.encode" (dig "kafka" "group" "shoal" .Values.settings) .Values.bundle.id }}
{{- end }}

{{- define "shoal.securityProtocol" -}}
{{- $properties := dig "kafka" "properties" dict .Values.settings | default dict }}
{{- $sasl := or .Values.kafka.sasl.mechanism (get $properties "sasl.mechanism") (get $properties "sasl.mechanisms") | empty | not }}
{{- if .Values.kafka.tls.enabled }}{{ ternary "SASL_SSL" "SSL" $sasl }}{{ else }}{{ ternary "SASL_PLAINTEXT" "PLAINTEXT" $sasl }}{{ end }}
{{- end }}
