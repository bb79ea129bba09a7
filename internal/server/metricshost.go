package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"scaler.io/scaler/internal/plan"
)

// hostMetrics describes what is said of the host's load.
type hostMetrics struct {
	hold, pressure, memory, disk          *prometheus.Desc
	pressureLimit, memoryLimit, diskLimit *prometheus.Desc
}

func newHostMetrics(desc descs) hostMetrics {
	return hostMetrics{
		hold:          desc("host_hold", "1 while nothing new starts on account of the host's load."),
		pressure:      desc("host_pressure_ratio", "Share of the last 10 s in which some task of the host waited, by what for.", "kind"),
		memory:        desc("host_free_memory_bytes", "Memory of the host that is available without swapping."),
		disk:          desc("host_free_disk_bytes", "Free space of the host's file systems, by path.", "path"),
		pressureLimit: desc("host_pressure_limit_ratio", "Share above which nothing new starts, by what is waited for.", "kind"),
		memoryLimit:   desc("host_free_memory_limit_bytes", "Available memory below which nothing new starts."),
		diskLimit:     desc("host_free_disk_limit_bytes", "Free space below which nothing new starts, by path.", "path"),
	}
}

func (h hostMetrics) all() []*prometheus.Desc {
	return []*prometheus.Desc{h.hold, h.pressure, h.memory, h.disk, h.pressureLimit, h.memoryLimit, h.diskLimit}
}

// collect says what is measured. Without limits.pressure that is nothing.
func (h hostMetrics) collect(s *plan.HostStatus, gauge gauges) {
	if s == nil {
		return
	}
	gauge(h.hold, oneIf(s.Hold != ""))
	for _, g := range s.Gates {
		switch {
		case !g.Known:
		case g.Kind == plan.HostFreeMemory:
			gauge(h.memory, g.Value)
			gauge(h.memoryLimit, g.Limit)
		case g.Kind == plan.HostFreeDisk:
			gauge(h.disk, g.Value, g.Path)
			gauge(h.diskLimit, g.Limit, g.Path)
		default:
			gauge(h.pressure, g.Value/100, string(g.Kind))
			gauge(h.pressureLimit, g.Limit/100, string(g.Kind))
		}
	}
}
