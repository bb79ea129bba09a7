package host

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/prometheus/procfs"

	"scaler.io/scaler/internal/plan"
)

// system is where the values come from.
type system struct {
	proc string // where procfs is mounted
	// statfs returns the bytes that a file system has for users who are not
	// root, and in all.
	statfs func(path string) (free, total float64, err error)
}

// gatesOf makes a gate for each limit that is set.
func gatesOf(l Limits, s system) []*gate {
	var gates []*gate
	for _, g := range []struct {
		kind  plan.HostKind
		limit float64
	}{{plan.HostCPU, l.CPU}, {plan.HostMemory, l.Memory}, {plan.HostIO, l.IO}} {
		if g.limit > 0 {
			gates = append(gates, &gate{kind: g.kind, read: func() (reading, error) { return s.pressure(string(g.kind), g.limit) }})
		}
	}
	if l.FreeMemory > 0 {
		gates = append(gates, &gate{kind: plan.HostFreeMemory, read: func() (reading, error) { return s.freeMemory(float64(l.FreeMemory)) }})
	}
	if l.FreeDisk <= 0 && l.FreeDiskPercent <= 0 {
		return gates
	}
	for _, path := range l.DiskPaths {
		gates = append(gates, &gate{kind: plan.HostFreeDisk, path: path, read: func() (reading, error) {
			return s.freeDisk(path, float64(l.FreeDisk), l.FreeDiskPercent)
		}})
	}
	return gates
}

// pressure reads for how much of the last 10 s some task waited, in percent.
// The resource is "cpu", "memory" or "io".
func (s system) pressure(resource string, limit float64) (reading, error) {
	proc, err := procfs.NewFS(s.proc)
	if err != nil {
		return reading{}, fmt.Errorf("open procfs: %w", err)
	}
	stats, err := proc.PSIStatsForResource(resource)
	switch {
	case err != nil:
		return reading{}, fmt.Errorf("read pressure: %w", inner(err))
	case stats.Some == nil:
		return reading{}, fmt.Errorf("read pressure: /proc/pressure/%s has no line for some", resource)
	}
	return reading{value: stats.Some.Avg10, limit: limit}, nil
}

// freeMemory reads how many bytes new processes can have without swapping.
func (s system) freeMemory(limit float64) (reading, error) {
	proc, err := procfs.NewFS(s.proc)
	if err != nil {
		return reading{}, fmt.Errorf("open procfs: %w", err)
	}
	info, err := proc.Meminfo()
	switch {
	case err != nil:
		return reading{}, fmt.Errorf("read memory: %w", inner(err))
	case info.MemAvailableBytes == nil:
		return reading{}, errors.New("read memory: /proc/meminfo has no MemAvailable")
	}
	return reading{value: float64(*info.MemAvailableBytes), limit: limit, floor: true}, nil
}

// inner is the part of an error of procfs that names the file, if there is one.
func inner(err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		return named
	}
	return err
}

// freeDisk reads how many bytes are free in the file system of a path. The
// limit is in bytes or, if that is 0, in percent of the whole.
func (s system) freeDisk(path string, limit, percent float64) (reading, error) {
	free, total, err := s.statfs(path)
	if err != nil {
		return reading{}, err
	}
	if limit == 0 {
		limit = total * percent / 100
	}
	return reading{value: free, limit: limit, floor: true}, nil
}
