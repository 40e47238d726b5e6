//go:build tools

// Package tools pins the linter of the workflows, so that go.sum holds the checksum of every module that goes into it.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
