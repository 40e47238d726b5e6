//go:build tools

// Package tools pins promtool, so that go.sum holds the checksum of every module that goes into it.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
