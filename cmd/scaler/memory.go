package main

import (
	"os"
	"runtime/debug"
)

// gcPercent has the daemon collect garbage when its heap has grown by half.
// It shares the host with builds, which need the memory more than the daemon
// needs the little CPU time that this takes.
const gcPercent = 50

// saveMemory sets the garbage collector to it, unless the environment says how
// it is to be set.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
