package server

import (
	"net/http"

	"scaler.io/scaler/internal/plan"
)

// configPage is the configuration that holds, and how it came to that.
type configPage struct {
	plan.ConfigStatus
	Sections []configSection
	Servers  []serverSection
	Reloads  []plan.Event
	CanAct   bool
	Done     string
}

// configSection is a part of the configuration: what was set, and what holds
// because nothing was.
type configSection struct {
	ID, Name      string
	Set, Defaults []Setting
}

// serverSection is what one server can do.
type serverSection struct {
	plan.KnownServer
	Can []serverFeature
}

// serverFeature is one thing that a server can do or not.
type serverFeature struct {
	plan.Feature
	Has     bool
	Product plan.Product
	Since   string // the first release of the product that can, empty if none can
}

func serversOf(s plan.Status) []serverSection {
	var list []serverSection
	for _, k := range s.KnownServers() {
		section := serverSection{KnownServer: k}
		for _, f := range plan.Features() {
			section.Can = append(section.Can, serverFeature{f, k.Has(f.Capability), k.Product, f.Since(k.Product)})
		}
		list = append(list, section)
	}
	return list
}

// reloadsShown is how many of the last reloads are listed.
const reloadsShown = 20

// getConfig shows the configuration that holds. It has no secret: the settings
// come without any.
func (web *Web) getConfig(w http.ResponseWriter, r *http.Request) {
	s := web.shown(r)
	p := configPage{ConfigStatus: s.Config, Servers: serversOf(s), CanAct: web.canAct(r)}
	if web.cfg.Settings != nil {
		p.Sections = sectionsOf(web.cfg.Settings())
	}
	p.Reloads = web.lastEvents(r, reloadsShown, func(e plan.Event) bool {
		return e.Kind == plan.EventConfigTaken || e.Kind == plan.EventConfigRejected
	})
	web.render(w, r, http.StatusOK, "config", "Configuration", p)
}

// sectionsOf puts settings of one section together, in their order. Those at
// the top are the first section.
func sectionsOf(settings []Setting) []configSection {
	list := []configSection{{ID: "general", Name: "General"}}
	at := map[string]int{"": 0}
	for _, s := range settings {
		i, known := at[s.Section]
		if !known {
			i = len(list)
			at[s.Section] = i
			list = append(list, configSection{ID: "section-" + sectionID(s.Section), Name: s.Section})
		}
		if s.Default {
			list[i].Defaults = append(list[i].Defaults, s)
		} else {
			list[i].Set = append(list[i].Set, s)
		}
	}
	return list
}

// sectionID is a section's name without what an address had to escape.
func sectionID(name string) string {
	id := []byte(name)
	for i, c := range id {
		if c == '[' || c == ']' {
			id[i] = '-'
		}
	}
	return string(id)
}
