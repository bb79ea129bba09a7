//go:build !linux

package main

// monotonic is nothing where there is no systemd.
func monotonic() string { return "" }
