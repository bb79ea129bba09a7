package main

import (
	"bytes"
	"strconv"

	"github.com/docker/go-units"

	"scaler.io/scaler/internal/plan"
)

// writeHost writes what limits.pressure measures, if there is anything.
func writeHost(b *bytes.Buffer, s *plan.HostStatus) {
	if s == nil {
		return
	}
	section(b, "HOST")
	rows := [][]string{{"WHAT", "VALUE", "LIMIT", "NEW RUNNERS"}}
	for _, g := range s.Gates {
		what, value, limit, may := string(g.Kind), "-", "-", "start"
		if g.Path != "" {
			what += " " + clean(g.Path)
		}
		if g.Known {
			value, limit = hostAmount(g.Kind, g.Value), hostAmount(g.Kind, g.Limit)
		}
		if g.Holds {
			may = "wait"
		}
		rows = append(rows, []string{what, value, limit, may})
	}
	table(b, rows)
}

func hostAmount(kind plan.HostKind, v float64) string {
	if kind == plan.HostFreeMemory || kind == plan.HostFreeDisk {
		return units.BytesSize(v)
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + " %"
}
