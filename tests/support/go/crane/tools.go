//go:build tools

// Package tools pins crane, so that go.sum holds the checksum of every module that goes into it.
package tools

import _ "github.com/google/go-containerregistry/cmd/crane"
