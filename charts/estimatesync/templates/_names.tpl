{{/* 40 characters leave room for the longest of the endings. A release's name may have dots, a Service's may not. */}}
{{- define "estimatesync.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "estimatesync.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* Pods are selected by these, and that stays: a Deployment's selector cannot change. Arguments: dict root part. */}}
{{- define "estimatesync.selector" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "estimatesync.labels" -}}
{{ include "estimatesync.ownLabels" . }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "estimatesync.ownLabels" -}}
{{ include "estimatesync.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* Without the chart's version: a new chart alone replaces no pod. Arguments: dict root part. */}}
{{- define "estimatesync.podLabels" -}}
{{ include "estimatesync.ownLabels" . }}
{{- with merge (dict) ((get .root.Values .part).podLabels | default dict) (.root.Values.commonLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Arguments: dict root part. */}}
{{- define "estimatesync.image" -}}
{{- $images := .root.Values.images -}}
{{- $own := (get .root.Values .part).image -}}
{{- $registry := (.root.Values.global | default dict).imageRegistry | default $images.registry | default "" | trimSuffix "/" -}}
{{- $name := printf "%s%s" (ternary "" (printf "%s/" $registry) (eq $registry "")) ($own.repository | default (printf "estimatesync-%s" .part)) -}}
{{- $digest := $own.digest | default (get $images (printf "%sDigest" .part)) -}}
{{- if $digest -}}
{{- printf "%s@%s" $name $digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($own.tag | default $images.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Arguments: dict root part. */}}
{{- define "estimatesync.pullPolicy" -}}
{{- (get .root.Values .part).image.pullPolicy | default .root.Values.images.pullPolicy -}}
{{- end -}}

{{/* Names of the Secrets that images are pulled with, each given as a name or as an object with one; as a list. */}}
{{- define "estimatesync.pullSecretNames" -}}
{{- $names := list -}}
{{- range concat ((.Values.global | default dict).imagePullSecrets | default list) (.Values.images.pullSecrets | default list) -}}
{{- if kindIs "string" . }}{{ $names = append $names . }}{{ else }}{{ $names = append $names .name }}{{ end -}}
{{- end -}}
{{- toJson (uniq $names) -}}
{{- end -}}

{{- define "estimatesync.keysSecret" -}}
{{- .Values.apiKeys.existingSecret | default (printf "%s-api-keys" (include "estimatesync.fullname" .)) -}}
{{- end -}}

{{- define "estimatesync.credentialsSecret" -}}
{{- .Values.credentials.existingSecret | default (printf "%s-credentials" (include "estimatesync.fullname" .)) -}}
{{- end -}}

{{/* Where sync pods find what is secret: by variable, the Secret and its key. */}}
{{- define "estimatesync.secretKeys" -}}
{{- $credentials := include "estimatesync.credentialsSecret" . -}}
{{- $keys := .Values.credentials.secretKeys -}}
{{- $database := .Values.database.existingSecret -}}
ATTIC_TECH_EMAIL: {{ printf "%s/%s" $credentials $keys.email | quote }}
ATTIC_TECH_PASSWORD: {{ printf "%s/%s" $credentials $keys.password | quote }}
DATABASE_URL: {{ ternary (printf "%s/%s" $database.name $database.key) (printf "%s/%s" $credentials $keys.databaseUrl) (ne $database.name "") | quote }}
{{- end -}}

{{/* As after the question mark of a URL. */}}
{{- define "estimatesync.databaseParameters" -}}
{{- $pairs := list -}}
{{- range $name, $value := .Values.database.parameters -}}
{{- $pairs = append $pairs (printf "%s=%s" $name (toString $value | urlquery | replace "+" "%20")) -}}
{{- end -}}
{{- join "&" $pairs -}}
{{- end -}}

{{- define "estimatesync.callbackSecret" -}}
{{- .Values.callback.existingSecret | default (printf "%s-callback" (include "estimatesync.fullname" .)) -}}
{{- end -}}

{{/* Arguments: dict root part. */}}
{{- define "estimatesync.serviceAccount" -}}
{{- (get .root.Values .part).serviceAccount.name | default (printf "%s-%s" (include "estimatesync.fullname" .root) .part) -}}
{{- end -}}

{{/* OpenShift gives each namespace users of its own, and refuses others. Arguments: dict root security. */}}
{{- define "estimatesync.podSecurity" -}}
{{- ternary (omit .security "runAsUser" "runAsGroup" "fsGroup") .security (eq (include "estimatesync.isOpenShift" .root) "true") | toYaml -}}
{{- end -}}

{{- define "estimatesync.isOpenShift" -}}
{{- $openshift := toString .Values.openshift -}}
{{- ternary (.Capabilities.APIVersions.Has "security.openshift.io/v1" | toString) $openshift (eq $openshift "auto") -}}
{{- end -}}

{{- define "estimatesync.pullSecrets" -}}
{{- with include "estimatesync.pullSecretNames" . | fromJsonArray }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What API and operator have in common: who a pod is, and where it runs. Arguments: dict root part grace. */}}
{{- define "estimatesync.podSettings" -}}
{{- $values := get .root.Values .part -}}
serviceAccountName: {{ include "estimatesync.serviceAccount" . | quote }}
enableServiceLinks: false
{{- include "estimatesync.pullSecrets" .root }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
terminationGracePeriodSeconds: {{ ternary .grace $values.terminationGracePeriodSeconds (empty $values.terminationGracePeriodSeconds) | int }}
securityContext: {{- include "estimatesync.podSecurity" (dict "root" .root "security" $values.podSecurityContext) | nindent 2 }}
tolerations: {{- include "estimatesync.tolerations" $values.tolerations | nindent 2 }}
{{- range $field := tuple "nodeSelector" "affinity" }}
{{- with get $values $field }}
{{ $field }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with $values.initContainers }}
initContainers: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
A variable that the chart sets itself cannot be set again: server-side apply refuses two of one name. An empty value is
left out, as the API server does: whoever compares, such as Argo CD, would see a difference for ever.
*/}}
{{- define "estimatesync.extraEnv" -}}
{{- $names := list -}}
{{- range fromYamlArray .own -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range .extra -}}
{{- if has .name $names -}}
{{- fail (printf "%s.extraEnv must not set %s: the chart or another line already sets it" $.part .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $variables := list -}}
{{- range concat (fromYamlArray .own) (default list .extra) -}}
{{- $variables = append $variables (ternary (omit . "value") . (eq (toString .value) "")) -}}
{{- end -}}
{{ toYaml $variables }}
{{- end -}}

{{/* OpenTelemetry's own variables; API and operator read them, and the operator hands them on to the sync pods. */}}
{{- define "estimatesync.tracingEnv" }}
{{- with .Values.tracing }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- if .endpoint }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler | quote }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerArgument | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ $pairs := list }}{{ range $key, $value := .resourceAttributes }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end }}{{ join "," $pairs | quote }}
{{- with .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  # Without it the collector refuses the spans, and all else goes on.
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: OTEL_EXPORTER_OTLP_HEADERS, optional: true}}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The ports of addresses, as a list; an empty address has none. Arguments: addresses of http or https. */}}
{{- define "estimatesync.ports" -}}
{{- $ports := list -}}
{{- range compact . -}}
{{- /* Not urlParse, whose complaint would tell the password of a proxy. */}}
{{- $host := regexFind "^[^/?#]*" (regexReplaceAll "^[a-z]+://([^/?#]*@)?" . "") -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $host) -}}
{{- $ports = append $ports (int ($port | default (ternary 443 80 (hasPrefix "https:" .)))) -}}
{{- end -}}
{{- toJson $ports -}}
{{- end -}}

{{/* The hosts of the Ingress, as a list: those of `hosts`, and the one of `host`. */}}
{{- define "estimatesync.ingressHosts" -}}
{{- $hosts := .Values.ingress.hosts | default list -}}
{{- with .Values.ingress.host }}{{ $hosts = prepend $hosts (dict "host" .) }}{{ end -}}
{{- toYaml $hosts -}}
{{- end -}}

{{/* Where people open the status page: as it is set, else the only host under which it is published; empty if that is not known. */}}
{{- define "estimatesync.publicUrl" -}}
{{- $hosts := list -}}
{{- if .Values.ingress.enabled -}}
{{- range include "estimatesync.ingressHosts" . | fromYamlArray -}}
{{- $hosts = append $hosts (ternary "" .host (or .paths (not (or $.Values.ingress.tlsSecret $.Values.ingress.tls)) | empty | not)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.httpRoute.enabled -}}
{{- $hosts = concat $hosts (.Values.httpRoute.hostnames | default list) -}}
{{- end -}}
{{- $hosts = uniq $hosts -}}
{{- if .Values.api.publicUrl -}}
{{- trimSuffix "/" .Values.api.publicUrl -}}
{{- else if and .Values.api.statusPage.enabled (eq (len $hosts) 1) (first $hosts) (not (hasPrefix "*" (first $hosts))) -}}
https://{{ first $hosts }}
{{- end -}}
{{- end -}}

{{/* How few replicas of the API there may be. */}}
{{- define "estimatesync.leastReplicas" -}}
{{- ternary .Values.api.autoscaling.minReplicas .Values.api.replicas .Values.api.autoscaling.enabled -}}
{{- end -}}

{{/* The old names that are among the values, each with what it is called now, as a list. */}}
{{- define "estimatesync.oldNames" -}}
{{- $notes := list -}}
{{- range $old, $place := include "estimatesync.oldResources" . | fromYaml -}}
{{- if get $.Values.sync $old -}}
{{- $notes = append $notes (printf "sync.%s is sync.resources.%s.%s now" $old $place.group $place.name) -}}
{{- end -}}
{{- end -}}
{{- range $part := tuple "api" "operator" "sync" -}}
{{- if (get $.Values $part).serviceAccountAnnotations -}}
{{- $notes = append $notes (printf "%s.serviceAccountAnnotations is %s.serviceAccount.annotations now" $part $part) -}}
{{- end -}}
{{- end -}}
{{- range $part := tuple "api" "operator" "sync" -}}
{{- if get $.Values.images (printf "%sDigest" $part) -}}
{{- $notes = append $notes (printf "images.%sDigest is %s.image.digest now" $part $part) -}}
{{- end -}}
{{- end -}}
{{- toYaml $notes -}}
{{- end -}}

{{/* The tolerations of a part that stays running. Kubernetes leaves a pod on a lost node for five minutes; whoever names
the key of a lost node decides that alone. */}}
{{- define "estimatesync.tolerations" -}}
{{- $own := . -}}
{{- $all := list -}}
{{- range $own -}}{{- $all = append $all (.key | default "") -}}{{- end -}}
{{- range tuple "node.kubernetes.io/not-ready" "node.kubernetes.io/unreachable" -}}
{{- if not (or (has . $all) (has "" $all)) -}}
{{- $own = append $own (dict "key" . "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" 30) -}}
{{- end -}}
{{- end -}}
{{- toYaml $own -}}
{{- end -}}

{{/* What every job of a sync has besides what the operator gives it, as a Job: the operator merges it, and refuses what is its own. */}}
{{- define "estimatesync.jobTemplate" -}}
{{- $common := .Values.commonLabels | default dict -}}
{{- with .Values.sync -}}
metadata:
  labels: {{- merge (dict) (.jobLabels | default dict) $common | toYaml | nindent 4 }}
  annotations: {{- .jobAnnotations | default dict | toYaml | nindent 4 }}
spec:
  template:
    metadata:
      labels: {{- merge (dict) (.podLabels | default dict) $common | toYaml | nindent 8 }}
      annotations: {{- .podAnnotations | default dict | toYaml | nindent 8 }}
    spec:
      affinity: {{- .affinity | default dict | toYaml | nindent 8 }}
      topologySpreadConstraints: {{- .topologySpreadConstraints | default list | toYaml | nindent 8 }}
      runtimeClassName: {{ .runtimeClassName | default "" | quote }}
      securityContext: {{- include "estimatesync.syncSecurity" $ | nindent 8 }}
      initContainers: {{- .initContainers | default list | toYaml | nindent 8 }}
      volumes: {{- .extraVolumes | default list | toYaml | nindent 8 }}
      containers:
        - name: sync
          resources: {{- include "estimatesync.syncResources" $ | nindent 12 }}
          env: {{- .extraEnv | default list | toYaml | nindent 12 }}
          volumeMounts: {{- .extraVolumeMounts | default list | toYaml | nindent 12 }}
{{- end -}}
{{- end -}}

{{/* The users of sync pods, where they are not the usual ones; on OpenShift, null leaves them to the cluster. */}}
{{- define "estimatesync.syncSecurity" -}}
{{- $security := deepCopy (.Values.sync.podSecurityContext | default dict) -}}
{{- if eq (include "estimatesync.isOpenShift" .) "true" -}}
{{- range tuple "runAsUser" "runAsGroup" -}}
{{- if not (hasKey $security .) }}{{ $_ := set $security . nil }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $security -}}
{{- end -}}

{{/* The three old names take precedence: who set them has not asked for anything else. */}}
{{- define "estimatesync.syncResources" -}}
{{- $resources := deepCopy (.Values.sync.resources | default dict) -}}
{{- range $old, $place := include "estimatesync.oldResources" . | fromYaml -}}
{{- with get $.Values.sync $old -}}
{{- $amounts := get $resources $place.group | default dict -}}
{{- $_ := set $resources $place.group (set $amounts $place.name .) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* The old names, what they became, and its default. */}}
{{- define "estimatesync.oldResources" -}}
cpuRequest: {group: requests, name: cpu, default: 100m}
memoryRequest: {group: requests, name: memory, default: 128Mi}
memoryLimit: {group: limits, name: memory, default: 512Mi}
{{- end -}}

{{/* A list of variables as the admission policy compares them: by name, with where the value is from; empty, where it is from
what the policy does not know. */}}
{{- define "estimatesync.policyVariables" -}}
{{- $variables := dict -}}
{{- range . -}}
{{- $from := .valueFrom | default dict -}}
{{- $words := ternary "" (printf "=%s" (.value | default "")) (gt (len $from) 0) -}}
{{- with $from.secretKeyRef -}}{{- $words = printf "Secret %s/%s" .name .key -}}{{- end -}}
{{- with $from.configMapKeyRef -}}{{- $words = printf "ConfigMap %s/%s" .name .key -}}{{- end -}}
{{- with $from.fieldRef -}}{{- $words = printf "field %s" .fieldPath -}}{{- end -}}
{{- $_ := set $variables .name $words -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* A volume as the admission policy compares it; of a kind that it does not know, empty. */}}
{{- define "estimatesync.policyVolume" -}}
{{- if hasKey . "emptyDir" }}emptyDir{{ end -}}
{{- with .configMap }}ConfigMap {{ .name }}{{ end -}}
{{- with .secret }}Secret {{ .secretName }}{{ end -}}
{{- with .persistentVolumeClaim }}PersistentVolumeClaim {{ .claimName }}{{ end -}}
{{- with .csi }}{{- if not .nodePublishSecretRef }}csi {{ .driver }} {{ (.volumeAttributes | default dict).secretProviderClass }}{{ end }}{{ end -}}
{{- end -}}
