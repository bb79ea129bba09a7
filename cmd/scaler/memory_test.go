package main

import (
	"runtime/debug"
	"testing"
)

func TestSaveMemory(t *testing.T) {
	before := debug.SetGCPercent(123)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "123")
	saveMemory()
	if got := debug.SetGCPercent(123); got != 123 {
		t.Errorf("with GOGC set it was changed to %d", got)
	}
	t.Setenv("GOGC", "")
	saveMemory()
	if got := debug.SetGCPercent(123); got != gcPercent {
		t.Errorf("without GOGC it is %d, want %d", got, gcPercent)
	}
}
