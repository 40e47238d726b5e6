{{/* Checks that a schema cannot express, reported together in one message. */}}
{{- define "estimatesync.checks" -}}
{{- $faults := list -}}
{{- if regexMatch "^[0-9]" (include "estimatesync.fullname" .) -}}
{{- $faults = append $faults (printf "fullnameOverride: set a name, for example estimatesync; from the release's name a Service would be called %s-api, which Kubernetes refuses" (include "estimatesync.fullname" .)) -}}
{{- end -}}
{{- if and (not .Values.apiKeys.existingSecret) (not .Values.apiKeys.keys) -}}
{{- $faults = append $faults "apiKeys: name an existingSecret, or give callers a key: --set apiKeys.keys.make=$(openssl rand -hex 32)" -}}
{{- end -}}
{{- if and .Values.apiKeys.existingSecret (or .Values.apiKeys.keys .Values.apiKeys.readOnlyKeys) -}}
{{- $faults = append $faults "apiKeys: keys and readOnlyKeys belong in the existingSecret; remove them here, or leave existingSecret empty" -}}
{{- end -}}
{{- if and .Values.apiKeys.existingReadOnly (not .Values.apiKeys.existingSecret) -}}
{{- $faults = append $faults "apiKeys.existingReadOnly: it needs an existingSecret; without one, put the keys into readOnlyKeys" -}}
{{- end -}}
{{- $keys := list -}}
{{- range $section := tuple "keys" "readOnlyKeys" -}}
{{- range $name, $key := get $.Values.apiKeys $section | default dict -}}
{{- $keys = append $keys $name -}}
{{- if not (regexMatch "^[!-+\\--~]+$" $key) -}}
{{- $faults = append $faults (printf "apiKeys.%s.%s: use printable ASCII without spaces and commas" $section $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if ne (len $keys) (len (uniq $keys)) -}}
{{- $faults = append $faults "apiKeys: the same name must not be in keys and in readOnlyKeys" -}}
{{- end -}}
{{- $credentials := list -}}
{{- $elsewhere := ne .Values.database.existingSecret.name "" -}}
{{- range tuple "email" "password" "databaseUrl" -}}
{{- if get $.Values.credentials . -}}
{{- $credentials = append $credentials . -}}
{{- else if not (or $.Values.credentials.existingSecret (and (eq . "databaseUrl") $elsewhere)) -}}
{{- $faults = append $faults (printf "credentials.%s: set it, or name an existingSecret that holds the login of Attic Tech and the database" .) -}}
{{- end -}}
{{- end -}}
{{- if and $elsewhere .Values.credentials.databaseUrl -}}
{{- $faults = append $faults "credentials.databaseUrl: database.existingSecret has the URL; remove one of the two" -}}
{{- end -}}
{{- range $part := tuple "apiKeys" "credentials" "callback" -}}
{{- $names := values (get $.Values $part).secretKeys -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- $faults = append $faults (printf "%s.secretKeys: two of them are the same" $part) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.credentials.existingSecret $credentials -}}
{{- $faults = append $faults (printf "credentials: %s belong in the existingSecret; remove them here, or leave existingSecret empty" (join ", " $credentials)) -}}
{{- end -}}
{{- if and .Values.callback.existingSecret (or .Values.callback.url .Values.callback.signingSecrets .Values.callback.makeApiKey .Values.callback.alertUrl) -}}
{{- $faults = append $faults "callback: url, signingSecrets, makeApiKey and alertUrl belong in the existingSecret; remove them here, or leave existingSecret empty" -}}
{{- end -}}
{{- with .Values.credentials.databaseUrl -}}
{{- if not (regexMatch "^postgres(ql)?://." .) -}}
{{- $faults = append $faults "credentials.databaseUrl: it does not start with postgresql://" -}}
{{- end -}}
{{- end -}}
{{- with .Values.callback -}}
{{- range $name := tuple "url" "alertUrl" -}}
{{- $url := get $.Values.callback $name -}}
{{- if and $url (not (regexMatch (ternary "^https?://." "^https://." $.Values.callback.allowHttp) $url)) -}}
{{- $faults = append $faults (printf "callback.%s: it does not start with https://; for a test, set callback.allowHttp" $name) -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^[ -~]*$" (.makeApiKey | default "")) -}}
{{- $faults = append $faults "callback.makeApiKey: use one line of printable ASCII" -}}
{{- end -}}
{{- range $place, $secret := .signingSecrets -}}
{{- if not (regexMatch "^whsec_[A-Za-z0-9+/]{32,}={0,2}$" $secret) -}}
{{- $faults = append $faults (printf "callback.signingSecrets[%d]: use whsec_ and at least 24 random bytes in base64, as in whsec_$(openssl rand -base64 24)" $place) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $old, $place := include "estimatesync.oldResources" . | fromYaml -}}
{{- $amounts := get ($.Values.sync.resources | default dict) $place.group | default dict -}}
{{- $given := get $amounts $place.name | toString -}}
{{- if and (get $.Values.sync $old) (not (has $given (list "" $place.default (toString (get $.Values.sync $old))))) -}}
{{- $faults = append $faults (printf "sync.%s: it is the old name of sync.resources.%s.%s, which says something else; remove it" $old $place.group $place.name) -}}
{{- end -}}
{{- end -}}
{{- range $part := tuple "api" "operator" "sync" -}}
{{- $old := get $.Values.images (printf "%sDigest" $part) -}}
{{- $new := (get $.Values $part).image.digest -}}
{{- if and $old $new (ne $old $new) -}}
{{- $faults = append $faults (printf "images.%sDigest: it is the old name of %s.image.digest, which says something else; remove it" $part $part) -}}
{{- end -}}
{{- $account := (get $.Values $part).serviceAccount -}}
{{- if not (or $account.create $account.name) -}}
{{- $faults = append $faults (printf "%s.serviceAccount.name: name the account that exists, or let the chart create one" $part) -}}
{{- end -}}
{{- if and (ne $part "sync") (eq (include "estimatesync.serviceAccount" (dict "root" $ "part" $part)) (include "estimatesync.serviceAccount" (dict "root" $ "part" "sync"))) -}}
{{- $faults = append $faults (printf "sync.serviceAccount.name: it is the account of %s, whose rights sync pods must not have" $part) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not (or .Values.ingress.host .Values.ingress.hosts)) -}}
{{- $faults = append $faults "ingress.host: set the host name under which the API is published" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $faults = append $faults "httpRoute.parentRefs: set the Gateway through which the API is published" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.port) -}}
{{- $faults = append $faults "metrics.port: a ServiceMonitor needs a port; set 8081, for example" -}}
{{- end -}}
{{- if and .Values.metrics.prometheusRule.enabled (not .Values.metrics.port) -}}
{{- $faults = append $faults "metrics.port: without metrics an alert would always report that the operator is absent; set 8081, for example" -}}
{{- end -}}
{{- if eq (int .Values.metrics.port) (int .Values.operator.port) -}}
{{- $faults = append $faults "metrics.port: operator.port is the same, and one program cannot listen on a port twice" -}}
{{- end -}}
{{- if and .Values.api.publicUrl (not .Values.api.statusPage.enabled) -}}
{{- $faults = append $faults "api.publicUrl: it is the address of the status page, which api.statusPage.enabled switches off" -}}
{{- end -}}
{{- with .Values.api -}}
{{- if and .service.nodePort (eq .service.type "ClusterIP") -}}
{{- $faults = append $faults "api.service.nodePort: a Service of type ClusterIP has none; set api.service.type to NodePort" -}}
{{- end -}}
{{- $least := include "estimatesync.leastReplicas" $ | int -}}
{{- if .autoscaling.enabled -}}
{{- if gt $least (int .autoscaling.maxReplicas) -}}
{{- $faults = append $faults "api.autoscaling.minReplicas: more than maxReplicas" -}}
{{- end -}}
{{- $resources := .resources | default dict -}}
{{- if and .autoscaling.targetCPUUtilizationPercentage (not (or ($resources.requests | default dict).cpu ($resources.limits | default dict).cpu)) -}}
{{- $faults = append $faults "api.resources.requests.cpu: set it; the autoscaler measures utilization against it" -}}
{{- end -}}
{{- end -}}
{{- if and (ne (toString .podDisruptionBudget.maxUnavailable) "") (has (toString .podDisruptionBudget.maxUnavailable) (list "0" "0%")) -}}
{{- $faults = append $faults "api.podDisruptionBudget.maxUnavailable: set at least 1, or no node can be drained" -}}
{{- end -}}
{{- if and .service.loadBalancerClass (ne .service.type "LoadBalancer") -}}
{{- $faults = append $faults "api.service.loadBalancerClass: only a Service of type LoadBalancer has one" -}}
{{- end -}}
{{- if and .service.externalTrafficPolicy (eq .service.type "ClusterIP") -}}
{{- $faults = append $faults "api.service.externalTrafficPolicy: a Service of type ClusterIP has none" -}}
{{- end -}}
{{- $stay := int (trimSuffix "%" (toString .podDisruptionBudget.minAvailable)) -}}
{{- if hasSuffix "%" (toString .podDisruptionBudget.minAvailable) -}}
{{- $stay = div (add (mul $stay $least) 99) 100 -}}
{{- end -}}
{{- if and .podDisruptionBudget.enabled (eq (toString .podDisruptionBudget.maxUnavailable) "") (gt $least 1) (ge (int $stay) $least) -}}
{{- $faults = append $faults (printf "api.podDisruptionBudget.minAvailable: set less than the %d replicas, or no node can be drained" $least) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.admissionPolicy.enabled (semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version) -}}
{{- $faults = append $faults (printf "admissionPolicy.enabled: it needs Kubernetes 1.30, and this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if .Values.admissionPolicy.enabled -}}
{{- range .Values.sync.extraVolumes -}}
{{- if not (include "estimatesync.policyVolume" .) -}}
{{- $faults = append $faults (printf "sync.extraVolumes: admissionPolicy.enabled allows emptyDir, configMap, secret, persistentVolumeClaim and csi; %s is none of these" .name) -}}
{{- end -}}
{{- end -}}
{{- $variables := dict "sync.extraEnv" .Values.sync.extraEnv -}}
{{- range .Values.sync.initContainers -}}
{{- $_ := set $variables (printf "sync.initContainers: %s" .name) .env -}}
{{- if .envFrom -}}
{{- $faults = append $faults (printf "sync.initContainers: %s has envFrom, which admissionPolicy.enabled refuses; name each variable under env" .name) -}}
{{- end -}}
{{- end -}}
{{- range $place, $list := $variables -}}
{{- range $name, $from := include "estimatesync.policyVariables" $list | fromYaml -}}
{{- if not $from -}}
{{- $faults = append $faults (printf "%s: admissionPolicy.enabled allows value, secretKeyRef, configMapKeyRef and fieldRef; the variable %s has none of these" $place $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $faults = concat $faults (include "estimatesync.scheduleFaults" . | fromJsonArray) -}}
{{- if $faults -}}
{{- fail (printf "\n\nThese values need attention:\n  - %s\n" (join "\n  - " $faults)) -}}
{{- end -}}
{{- end -}}

{{/* What a schema cannot say of schedules, as a list. */}}
{{- define "estimatesync.scheduleFaults" -}}
{{- $faults := list -}}
{{- $name := include "estimatesync.fullname" . -}}
{{- $zones := splitList "\n" (.Files.Get "files/time-zones.txt") -}}
{{- if not (has .Values.settings.timeZone $zones) -}}
{{- $faults = append $faults (printf "settings.timeZone: %s is not an IANA time zone; write America/New_York, for example" .Values.settings.timeZone) -}}
{{- end -}}
{{- $names := list -}}
{{- range $place, $schedule := .Values.schedules -}}
{{- $names = append $names .name -}}
{{- if gt (len (printf "%s-%s" $name .name)) 52 -}}
{{- $faults = append $faults (printf "schedules[%d].name: %s-%s is longer than the 52 characters that the name of a CronJob may have" $place $name .name) -}}
{{- end -}}
{{- if and .timeZone (not (has .timeZone $zones)) -}}
{{- $faults = append $faults (printf "schedules[%d].timeZone: %s is not an IANA time zone; write America/New_York, for example" $place .timeZone) -}}
{{- end -}}
{{- end -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- $faults = append $faults "schedules: two of them have the same name" -}}
{{- end -}}
{{- $key := .Values.apiKeys.scheduleKey -}}
{{- if and $key (not .Values.apiKeys.existingSecret) (not (hasKey (.Values.apiKeys.keys | default dict) $key)) -}}
{{- $faults = append $faults (printf "apiKeys.scheduleKey: apiKeys.keys has no key named %s" $key) -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}
