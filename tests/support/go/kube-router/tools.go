//go:build tools

// Package tools pins kube-router, so that go.sum holds the checksum of every module that goes into it.
package tools

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
