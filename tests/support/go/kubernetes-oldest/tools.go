//go:build tools

// Package tools pins the control-plane programs that tests/support builds,
// so that go.sum holds the checksum of every module that goes into them.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
)
