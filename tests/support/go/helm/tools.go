//go:build tools

// Package tools pins Helm, so that go.sum holds the checksum of every module that goes into it.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
