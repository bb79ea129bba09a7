package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// machine is where a run took place.
type machine struct {
	Cores      int     `json:"cores"`
	MemoryGB   float64 `json:"memory_gb"`
	Engine     string  `json:"engine"` // version, empty without one
	Go         string  `json:"go"`
	Kernel     string  `json:"kernel"`
	LoadBefore string  `json:"load_before"` // of the last 1, 5 and 15 minutes
	LoadAfter  string  `json:"load_after"`
}

// look finds out what can be known; what cannot stays empty.
func look(ctx context.Context, engine *engineClient) machine {
	return machine{
		Cores: runtime.NumCPU(), MemoryGB: memory(), Engine: engine.version(ctx), Go: runtime.Version(),
		Kernel: line("/proc/sys/kernel/osrelease"), LoadBefore: load(),
	}
}

// String is the machine in one line.
func (m machine) String() string {
	return fmt.Sprintf("%d cores, %.0f GB, Docker Engine %s, %s, Linux %s; load before %s, after %s",
		m.Cores, m.MemoryGB, cmp.Or(m.Engine, "none"), m.Go, m.Kernel, m.LoadBefore, m.LoadAfter)
}

// line returns the first line of a file, empty if it cannot be read.
func line(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(data), "\n")
	return first
}

// load is the machine's load, which includes our own.
func load() string {
	fields := strings.Fields(line("/proc/loadavg"))
	return strings.Join(fields[:min(len(fields), 3)], " ")
}

// memory is the machine's, in GB of 2^30 bytes.
func memory() float64 {
	fields := strings.Fields(line("/proc/meminfo"))
	if len(fields) < 2 {
		return 0
	}
	kb, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return 0
	}
	return kb / (1 << 20)
}
