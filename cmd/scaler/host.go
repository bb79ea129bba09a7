package main

import (
	"context"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/host"
)

// newMonitor makes what measures the host for limits.pressure, or nil if there
// is nothing to measure. It calls opened when something may start again.
func newMonitor(p config.Pressure, opened func()) *host.Monitor {
	return host.New(host.Config{Opened: opened, Limits: host.Limits{
		CPU: p.CPU, Memory: p.Memory, IO: p.IO, FreeMemory: p.FreeMemory,
		FreeDisk: p.FreeDisk.Bytes, FreeDiskPercent: p.FreeDisk.Percent, DiskPaths: p.DiskPaths,
	}})
}

// measure begins to measure the host, until stop is called. That ctx ends does
// not end it: the loop goes on while it shuts down.
func (p parts) measure(ctx context.Context) (stop func()) {
	ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	if p.host != nil {
		p.host.Start(ctx)
	}
	return stop
}

// unmeasurable warns of the limits of limits.pressure that this machine has no
// value for.
func unmeasurable(ctx context.Context, p config.Pressure) []string {
	monitor := newMonitor(p, nil)
	if monitor == nil {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	monitor.Start(ctx)
	warnings := monitor.Unmeasurable(time.Now())
	for i, w := range warnings {
		warnings[i] = "limits.pressure: a daemon on this machine would start nothing: " + w
	}
	return warnings
}
