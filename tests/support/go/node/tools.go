//go:build tools

// Package tools pins what makes a real node, so that go.sum holds the checksum of every module that goes into it.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
