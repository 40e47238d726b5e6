{{/* What a schema cannot say, all of it in one message. */}}
{{- define "estimatesync.checks" -}}
{{- $faults := list -}}
{{- if regexMatch "^[0-9]" (include "estimatesync.fullname" .) -}}
{{- $faults = append $faults (printf "fullnameOverride: name the objects, for example estimatesync; a Service cannot be called %s-api, as the release's name would have it" (include "estimatesync.fullname" .)) -}}
{{- end -}}
{{- if and (not .Values.apiKeys.existingSecret) (not .Values.apiKeys.keys) -}}
{{- $faults = append $faults "apiKeys: name an existingSecret, or give callers a key: --set apiKeys.keys.make=$(openssl rand -hex 32)" -}}
{{- end -}}
{{- if not .Values.credentials.existingSecret -}}
{{- range tuple "email" "password" "databaseUrl" -}}
{{- if not (get $.Values.credentials .) -}}
{{- $faults = append $faults (printf "credentials.%s: set it, or name an existingSecret that holds the login of Attic Tech and the database" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.callback.existingSecret (or .Values.callback.url .Values.callback.signingSecrets .Values.callback.makeApiKey) -}}
{{- $faults = append $faults "callback: url, signingSecrets and makeApiKey belong into the existingSecret, or existingSecret stays empty" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- $faults = append $faults "ingress.host: say under which name the API is published" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $faults = append $faults "httpRoute.parentRefs: say through which Gateway the API is published" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.port) -}}
{{- $faults = append $faults "metrics.port: a ServiceMonitor needs a port, 8081 for example" -}}
{{- end -}}
{{- if gt (int .Values.api.drainSeconds) 120 -}}
{{- $faults = append $faults "api.drainSeconds: at most 120" -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\n\nThese values need attention:\n  - %s\n" (join "\n  - " $faults)) -}}
{{- end -}}
{{- end -}}
