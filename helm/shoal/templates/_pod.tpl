{{/* A variable whose value is in a secret. */}}
{{- define "shoal.secretVariable" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}

{{/* What every container finds in its environment: where its settings are, and a home that can be written. */}}
{{- define "shoal.environment" -}}
- name: SHOAL_CONFIG
  value: /etc/shoal/settings/shoal.toml
- name: HOME
  value: /tmp
{{- end }}

{{/* Whether a component touches the state; encoding and routing do without, and get no key to it. */}}
{{- define "shoal.reachesRedis" -}}
{{- if not (has . (list "encode" "route")) }}true{{ end }}
{{- end }}

{{/* What opens Kafka and Redis, and whom to tell: alert, and the Jobs that make its topic and look whether it is there. */}}
{{- define "shoal.credentials" -}}
{{- $values := .root.Values }}
{{- with $values.kafka.sasl }}
{{- if .mechanism }}
{{- if .username }}
- name: SHOAL_KAFKA__PROPERTIES__sasl.username
  value: {{ .username | quote }}
{{- else }}
{{ include "shoal.secretVariable" (dict "name" "SHOAL_KAFKA__PROPERTIES__sasl.username" "secret" .existingSecret "key" .usernameKey) }}
{{- end }}
{{ include "shoal.secretVariable" (dict "name" "SHOAL_KAFKA__PROPERTIES__sasl.password" "secret" .existingSecret "key" .passwordKey) }}
{{- end }}
{{- end }}
{{- with $values.alert }}
{{- if and .enabled .existingSecret (has $.component (list "alert" "check" "topics")) }}
{{ include "shoal.secretVariable" (dict "name" "SHOAL_ALERT__CHANNELS" "secret" .existingSecret "key" .channelsKey) }}
{{- end }}
{{- end }}
{{- $state := include "shoal.reachesRedis" .component }}
{{- with $values.redis }}
{{- if and .existingSecret $state }}
{{- if .urlKey }}
{{ include "shoal.secretVariable" (dict "name" "SHOAL_REDIS__URL" "secret" .existingSecret "key" .urlKey) }}
{{- else }}
{{- with .usernameKey }}
{{ include "shoal.secretVariable" (dict "name" "SHOAL_REDIS__USERNAME" "secret" $values.redis.existingSecret "key" .) }}
{{- end }}
{{- with .passwordKey }}
{{ include "shoal.secretVariable" (dict "name" "SHOAL_REDIS__PASSWORD" "secret" $values.redis.existingSecret "key" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "shoal.container" -}}
image: {{ include "shoal.image" (dict "root" .root "own" .workload.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
# so that `kubectl describe pod` shows why it ended
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
{{- with .root.Values.objectStore.existingSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end }}

{{- define "shoal.mounts" -}}
- name: settings
  mountPath: /etc/shoal/settings
  readOnly: true
- name: temporary
  mountPath: /tmp
{{- end }}

{{/* An authority's certificate, and our own with its key, out of one secret or two. */}}
{{- define "shoal.certificates" -}}
projected:
  defaultMode: 0440
  sources:
    - secret:
        name: {{ .existingSecret }}
        items:
          - key: {{ .caKey }}
            path: ca.crt
    {{- if .clientCertificate }}
    - secret:
        name: {{ .clientSecret | default .existingSecret }}
        items:
          - key: {{ .certificateKey }}
            path: tls.crt
          - key: {{ .keyKey }}
            path: tls.key
    {{- end }}
{{- end }}

{{/*
The pod of a workload.
  root: the chart; component: its name; workload: its values; arguments: of the command `shoal`;
  probes: whether it serves them; restartPolicy: of jobs; gpu: its values, where it may use one
*/}}
{{- define "shoal.pod" -}}
{{- $values := .root.Values }}
{{- $workload := .workload }}
{{- $gpu := .gpu | default (dict "enabled" false "provider" "") }}
metadata:
  labels:
    {{- include "shoal.selector" . | nindent 4 }}
    app.kubernetes.io/version: {{ $values.image.tag | default .root.Chart.AppVersion | quote }}
    {{- with $values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $workload.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: shoal
    {{- if ne .component "rebuild" }}
    checksum/settings: {{ include "shoal.settings" .root | sha256sum }}
    {{- end }}
    {{- with merge (dict) ($workload.podAnnotations | default dict) $values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "shoal.serviceAccountName" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- if .probes }}
  terminationGracePeriodSeconds: {{ $workload.terminationGracePeriodSeconds | default (add 10 (ceil (dig "shutdown_seconds" 25 $values.settings))) }}
  {{- end }}
  {{- if $gpu.enabled }}
  {{- with $gpu.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $workload.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $workload.schedulerName }}
  schedulerName: {{ . }}
  {{- end }}
  {{- with $workload.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $workload.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $workload.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and .probes $values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $values.topologySpread.topologyKeys }}
    - maxSkew: {{ $values.topologySpread.maxSkew }}
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "shoal.selector" $ | nindent 10 }}
      matchLabelKeys:
        - pod-template-hash
    {{- end }}
  {{- end }}
  {{- if or $workload.extraInitContainers (eq $values.bundle.source "objectStore") }}
  initContainers:
    {{- with $workload.extraInitContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if eq $values.bundle.source "objectStore" }}
    - name: bundle
      {{- include "shoal.container" . | nindent 6 }}
      args:
        - bundle
        - fetch
        - {{ $values.bundle.objectStore.url | quote }}
        - /bundle/{{ $values.bundle.id }}
        - --id={{ $values.bundle.id }}
        {{- with $values.bundle.objectStore.manifestSha256 }}
        - --sha256={{ . }}
        {{- end }}
      env:
        {{- include "shoal.environment" . | nindent 8 }}
      resources:
        {{- toYaml $values.bundle.objectStore.resources | nindent 8 }}
      volumeMounts:
        {{- include "shoal.mounts" . | nindent 8 }}
        - name: bundle
          mountPath: /bundle
    {{- end }}
  {{- end }}
  containers:
    - name: shoal
      {{- include "shoal.container" . | nindent 6 }}
      args:
        {{- toYaml .arguments | nindent 8 }}
      env:
        {{- include "shoal.environment" . | nindent 8 }}
        {{- with include "shoal.credentials" . | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        - name: SHOAL_ENCODE__PROVIDER
          value: {{ ternary $gpu.provider "cpu" $gpu.enabled }}
        {{- if $gpu.enabled }}
        - name: CUDA_CACHE_PATH
          value: /tmp/cuda
        {{- end }}
        {{- with $workload.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if .probes }}
      ports:
        - name: http
          containerPort: 9108
      startupProbe:
        httpGet:
          path: /startupz
          port: http
        periodSeconds: {{ $values.probes.startup.periodSeconds }}
        failureThreshold: {{ $values.probes.startup.failureThreshold }}
        timeoutSeconds: 5
      livenessProbe:
        httpGet:
          path: /livez
          port: http
        {{- toYaml $values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
        {{- toYaml $values.probes.readiness | nindent 8 }}
      {{- end }}
      {{- with $workload.lifecycle }}
      lifecycle:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- $resources := deepCopy $workload.resources }}
        {{- if $gpu.enabled }}
        {{- $device := dict $gpu.resourceName $gpu.count }}
        {{- $resources = mergeOverwrite $resources (dict "limits" $device) }}
        {{- end }}
        {{- toYaml $resources | nindent 8 }}
      volumeMounts:
        {{- include "shoal.mounts" . | nindent 8 }}
        {{- if ne $values.bundle.source "image" }}
        - name: bundle
          mountPath: /bundle
          readOnly: true
          {{- if eq $values.bundle.source "persistentVolumeClaim" }}
          {{- with $values.bundle.persistentVolumeClaim.subPath }}
          subPath: {{ . }}
          {{- end }}
          {{- end }}
        {{- end }}
        {{- if and $values.kafka.tls.enabled $values.kafka.tls.existingSecret }}
        - name: kafka-tls
          mountPath: /etc/shoal/kafka-tls
          readOnly: true
        {{- end }}
        {{- if and $values.redis.tls.existingSecret (include "shoal.reachesRedis" .component) }}
        - name: redis-tls
          mountPath: /etc/shoal/redis-tls
          readOnly: true
        {{- end }}
        {{- with $workload.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $workload.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: settings
      configMap:
        name: {{ include "shoal.fullname" .root }}-settings
    - name: temporary
      emptyDir:
        sizeLimit: {{ $values.temporary.sizeLimit }}
    {{- if eq $values.bundle.source "objectStore" }}
    - name: bundle
      emptyDir:
        sizeLimit: {{ $values.bundle.objectStore.sizeLimit }}
    {{- else if eq $values.bundle.source "persistentVolumeClaim" }}
    - name: bundle
      persistentVolumeClaim:
        claimName: {{ $values.bundle.persistentVolumeClaim.claimName }}
        readOnly: true
    {{- end }}
    {{- with $values.kafka.tls }}
    {{- if and .enabled .existingSecret }}
    - name: kafka-tls
      {{- include "shoal.certificates" . | nindent 6 }}
    {{- end }}
    {{- end }}
    {{- with $values.redis.tls }}
    {{- if and .existingSecret (include "shoal.reachesRedis" $.component) }}
    - name: redis-tls
      {{- include "shoal.certificates" . | nindent 6 }}
    {{- end }}
    {{- end }}
    {{- with $workload.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
