//go:build tools

// Package tools pins cosign, so that go.sum holds the checksum of every module that goes into it.
package tools

import _ "github.com/sigstore/cosign/v2/cmd/cosign"
