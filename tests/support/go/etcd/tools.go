//go:build tools

// Package tools pins etcd, so that go.sum holds the checksum of every module that goes into it.
package tools

import _ "go.etcd.io/etcd/server/v3"
