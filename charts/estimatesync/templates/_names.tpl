{{/* 40 characters leave room for the longest of the endings. A release's name may have dots, a Service's may not. */}}
{{- define "estimatesync.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Pods are selected by these, and that stays: a Deployment's selector cannot change. Arguments: dict root part. */}}
{{- define "estimatesync.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "estimatesync.labels" -}}
{{ include "estimatesync.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Arguments: dict root part digest. */}}
{{- define "estimatesync.image" -}}
{{- $images := .root.Values.images -}}
{{- $prefix := empty $images.registry | ternary "" (printf "%s/" (toString $images.registry | trimSuffix "/")) -}}
{{- if .digest -}}
{{- printf "%sestimatesync-%s@%s" $prefix .part .digest -}}
{{- else -}}
{{- printf "%sestimatesync-%s:%s" $prefix .part ($images.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
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

{{- define "estimatesync.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "estimatesync.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "estimatesync.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
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
