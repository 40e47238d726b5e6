module estimatesync.botzilla.io/cluster/definitions

go 1.26.7

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
