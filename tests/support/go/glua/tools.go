//go:build tools

// Package tools pins the Lua that Argo CD runs health scripts with, so that go.sum holds the checksum of every module of it.
package tools

import _ "github.com/yuin/gopher-lua/cmd/glua"
