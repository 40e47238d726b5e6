//go:build tools

// Package tools pins kind, so that go.sum holds the checksum of every module that goes into it.
package tools

import _ "sigs.k8s.io/kind"
