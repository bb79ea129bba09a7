package pool

import (
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// pressure knows how loaded the host is.
type pressure interface {
	// Look returns what was measured last, and why nothing new may start on
	// that account. It neither blocks nor fails: what is not known holds.
	Look(now time.Time) plan.HostStatus
}

// host returns how loaded the host is, or nil if that does not matter.
func (p Ports) host(now time.Time) *plan.HostStatus {
	if p.Pressure == nil {
		return nil
	}
	s := p.Pressure.Look(now)
	return &s
}

// setHost makes a problem of what keeps all pools from starting. It is logged
// again when other gates hold, not with each new value.
func (m *Manager) setHost(seen *observation) {
	if seen.host == nil {
		return
	}
	var holding []string
	for _, g := range seen.host.Gates {
		if g.Holds {
			gate := string(g.Kind) + " " + g.Path
			if !g.Known {
				gate += " unknown"
			}
			holding = append(holding, gate)
		}
	}
	m.conditions.setCause(plan.SubjectHost, strings.Join(holding, ", "), seen.host.Hold, seen.at)
}
