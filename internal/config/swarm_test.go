package config

import (
	"maps"
	"strings"
	"testing"
)

func TestGenericResources(t *testing.T) {
	got := Placement{GenericResources: []string{"gpu=2", "ssd=1"}}.Generic()
	if want := map[string]int64{"gpu": 2, "ssd": 1}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSwarmWarnings(t *testing.T) {
	placed, reaching := defaults(), defaults()
	placed.Pools[0].Container.Swarm.Spread = []string{"node.labels.zone"}
	reaching.Engine, reaching.Pools[0].Container.DockerAccess = EngineSwarm, DockerSocket
	for want, c := range map[string]*Config{
		"pool linux: container.swarm has no effect without engine: swarm": placed,
		"cannot be cleared away": reaching,
	} {
		if all := strings.Join(c.swarmWarnings(), "\n"); !strings.Contains(all, want) {
			t.Errorf("warnings %q, want %q", all, want)
		}
	}
	if w := defaults().swarmWarnings(); len(w) > 0 {
		t.Errorf("warnings %q by default", w)
	}
}
