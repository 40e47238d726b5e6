module estimatesync.botzilla.io/cluster/definitions

go 1.26.7

require (
	github.com/cert-manager/trust-manager v0.25.0
	github.com/external-secrets/external-secrets v1.3.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
