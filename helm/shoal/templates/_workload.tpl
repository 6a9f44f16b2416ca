{{/*
A consumer: its Deployment, its PodDisruptionBudget.
  root, component, workload, gpu: as of shoal.pod; scaled: whether something else sets the replicas;
  strategy: how its pods are replaced, unless its values say
*/}}
{{- define "shoal.workload" -}}
{{- if .workload.enabled }}
{{- $name := printf "%s-%s" (include "shoal.fullname" .root) .component }}
{{- $pod := merge (dict "arguments" (list "run" (printf "--only=%s" .component)) "probes" true) . }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels:
    {{- include "shoal.labels" . | nindent 4 }}
  {{- with include "shoal.annotations" (dict "root" .root "own" .workload.annotations) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  {{- if not .scaled }}
  replicas: {{ .workload.replicas }}
  {{- end }}
  revisionHistoryLimit: {{ .root.Values.revisionHistoryLimit }}
  # longer than a start may take, so that a slow one is no failed rollout
  progressDeadlineSeconds: {{ add 300 (mul .root.Values.probes.startup.periodSeconds .root.Values.probes.startup.failureThreshold) }}
  strategy:
    {{- toYaml (.workload.strategy | default .strategy) | nindent 4 }}
  selector:
    matchLabels:
      {{- include "shoal.selector" . | nindent 6 }}
  template:
    {{- include "shoal.pod" $pod | trim | nindent 4 }}
{{- if .workload.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels:
    {{- include "shoal.labels" . | nindent 4 }}
  {{- with include "shoal.annotations" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  maxUnavailable: {{ .workload.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "shoal.selector" . | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The next pod first, then the last one goes. */}}
{{- define "shoal.nextFirst" -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: 1
  maxUnavailable: 0
{{- end }}

{{/* The last pod goes first: for devices of which there is none to spare. */}}
{{- define "shoal.lastFirst" -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: 0
  maxUnavailable: 1
{{- end }}
