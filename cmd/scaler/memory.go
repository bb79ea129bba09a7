package main

import (
	"os"
	"runtime/debug"
)

// gcPercent has the daemon collect garbage when its heap has grown by two fifths.
// It shares the host with builds, which need the memory more than the daemon
// needs the little CPU time that this takes.
const gcPercent = 40

// saveMemory sets the garbage collector to it, unless the environment says how
// it is to be set.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
